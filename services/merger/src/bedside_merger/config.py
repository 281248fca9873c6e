"""The section `merger` of a run config.

Tested in tests/merger/test_run.py.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from bedside_core.config import Config
from bedside_core.kinds.heldout import SetName
from bedside_models.scores import MAX_LENGTH

Weight = Annotated[float, Field(ge=0, le=1)]
"""Position between the models: 0 is the base, 1 the checkpoint."""
Anchors = Annotated[tuple[Weight, ...], Field(min_length=1)]
"""Weights at equal distances over the layers, interpolated linearly in between."""


class Probe(Config):
    """Held-out texts on which the cost of rounding is measured."""

    heldout: SetName
    """A set of `eval.heldout`; texts of its development part are taken."""
    num_texts: PositiveInt = 4
    """How many of them, the first by file name."""
    max_length: int = Field(default=MAX_LENGTH, ge=2)
    """Tokens that a model sees at once; longer texts are measured in windows of this length."""


class MergerConfig(Config):
    """How base and checkpoint are merged; the defaults are the schedule of DeFineMed, A.4."""

    method: Literal["slerp"] = "slerp"
    self_attn: Anchors = (0.0, 0.5, 0.3, 0.7, 1.0)
    """Weights of the attention tensors, first layer to last."""
    mlp: Anchors = (1.0, 0.5, 0.7, 0.3, 0.0)
    """Weights of the feed-forward tensors, first layer to last."""
    rest: Weight = 0.5
    """Weight of every other tensor: embeddings, norms, output head."""
    probe: Probe | None = None
    """Without it, the export reports the rounding of weights but not its effect on likelihood."""
