"""From a volume to numbers: surfaces, layers, voids and what changed between states."""
