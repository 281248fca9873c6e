"""Held-out sets, drawn from what a corpus would be made of."""
