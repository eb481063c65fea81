"""Where a volume lies upon the EMF maps, and the masks that follow from it."""
