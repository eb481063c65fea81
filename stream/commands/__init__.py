"""The commands of ``hexlive``: thin shells around public functions, and the demo."""
