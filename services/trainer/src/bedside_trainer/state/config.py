"""The section `trainer.states` of a run config.

Tested in tests/trainer/state/test_states.py.
"""

from __future__ import annotations

from pydantic import Field

from bedside_core.config import Config


class StatesConfig(Config):
    """How often a training is made resumable, and how much of that stays."""

    every: int = Field(default=100, ge=1)
    """Optimizer steps between resumable states; a kill costs at most so many. The last step has one
    too, so that a checkpoint that cannot be written costs none."""
    keep: int = Field(default=2, ge=1)
    """States that stay, the newest ones: a damaged one is passed over for the one before. While a
    state is written there is one more; 12 bytes per parameter each, with float32 moments."""
