"""The gateway's state in a database: API keys, model aliases and the models that are stopped."""
