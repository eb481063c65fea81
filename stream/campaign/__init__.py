"""Many recordings through the same pipeline, their frames counted by the workers of a cluster."""
