"""The section `trainer.pilot` of a run config. Nothing of it changes what is trained.

Tested in tests/trainer/pilot/test_verdict.py.
"""

from __future__ import annotations

from pydantic import Field

from bedside_core.config import Config


class Pilot(Config):
    """How long the pilot is, and what the training must bring to be worth its price."""

    share: float = Field(default=0.01, gt=0, le=1)
    """Of the training's optimizer steps, over all rungs together."""
    min_gain: float = Field(default=0.02, ge=0, allow_inf_nan=False)
    """Nats per token that `trainer.heldout` must gain, or the training is not worth its price."""
    max_loss: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Nats per token that each other set of the development part may lose. By default what is
    forgotten is foretold and decides nothing: the merge gives some of it back."""
