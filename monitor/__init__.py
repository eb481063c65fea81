"""The window on a running pipeline; it knows the results model and the wire, nothing else."""
