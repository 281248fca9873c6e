"""The air-gap bundle: one signed archive that carries Bedside to a machine without a network."""
