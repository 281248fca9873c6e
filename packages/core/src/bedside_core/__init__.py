"""What every Bedside service shares: config, errors, logging, progress, artifacts, registry, CLI."""

__version__ = "0.1.0"
