"""Figures: what this machine sustains, beside its limits; nothing else imports this."""
