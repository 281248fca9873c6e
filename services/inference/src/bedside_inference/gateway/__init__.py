"""The gateway: the only client of the engine, and the only door for everyone else."""
