"""The section `eval.generation` of a run config.

Tested in tests/eval/answering/test_asking.py.
"""

from __future__ import annotations

from pydantic import Field

from bedside_core.config import Config


class Generation(Config):
    """How models are asked for answers, by the engine that would serve them."""

    max_tokens: int = Field(default=512, ge=1, le=32_768)
    """Of an answer; one that has no end by then is truncated and counted."""
    rotations: bool = False
    """Ask choices in letters once more for every rotation of their options, for
    `consistent_accuracy`: as many questions as an item has options."""
    concurrency: int = Field(default=32, ge=1, le=1024)
    """Questions that the engine has at a time."""
    timeout_seconds: float = Field(default=1800, gt=0)
    """For one answer, as the engine computes several at a time."""
