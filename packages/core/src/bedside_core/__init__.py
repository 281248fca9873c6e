"""What every Bedside service shares: config, errors, log, progress, artifacts, registry, CLI."""

__version__ = "0.2.0"
