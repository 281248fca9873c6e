"""The `eval` section of a run config.

Tested in tests/eval/test_run.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from bedside_core.config import Config

SetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]


class EvalConfig(Config):
    """What the three models are examined on, and how."""

    policy: Path
    """The policy file (YAML) that turns differences into a verdict."""
    heldout: dict[SetName, Path] = Field(min_length=1)
    """Held-out sets by name: folders of UTF-8 `.txt` files."""
    exams: dict[SetName, Path] = Field(default_factory=dict)
    """Multiple-choice exams by name: JSON Lines files."""
    batch_size: int = Field(default=1, ge=1)
    """Sequences per forward pass."""
    max_length: int = Field(default=1024, ge=16)
    """Tokens that a model sees at once; longer texts are scored in windows of this length."""
    seed: int = Field(default=17, ge=0)
    """Seed of the bootstrap."""
    bootstrap_samples: int = Field(default=10_000, ge=1_000)
    """Resamples per interval."""
