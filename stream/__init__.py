"""Frames in, results out: the wire, the pipeline, files, the simulator, the commands."""
