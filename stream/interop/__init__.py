"""What other programs of a beamline write, send, and want to be told."""
