"""The simulated experiment with known truth: cell, sensor, camera, CT phantom, cycler."""
