"""Counts to physics and volumes: pure functions, no sockets and no state."""
