"""Which engine answers, when, and the hop to it."""
