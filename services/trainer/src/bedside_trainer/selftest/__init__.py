"""Trainings that are killed, shown to end as if nothing had happened."""
