"""From projections to a volume: the axis, rings, filtering and the engines."""
