"""The section `merger` of a run config.

Tested in tests/merger/test_run.py.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from bedside_core.config import Config
from bedside_core.kinds.heldout import SetName
from bedside_core.kinds.policy import Name
from bedside_merger.merge import Merge, Settings, Source, check
from bedside_merger.methods import MethodName
from bedside_merger.presets import DEFAULT, PRESETS, PresetName
from bedside_models.scores import MAX_LENGTH, Dtype


class Probe(Config):
    """Held-out texts on which the cost of rounding is measured."""

    heldout: SetName
    """A set of `eval.heldout`; texts of its development part are taken."""
    num_texts: PositiveInt = 4
    """How many of them, the first by file name."""
    max_length: int = Field(default=MAX_LENGTH, ge=2)
    """Tokens that a model sees at once; longer texts are measured in windows of this length."""
    max_parameters: PositiveInt = 2_000_000_000
    """Of larger models the probe is left out: it needs the unrounded merge once on disk and each
    model once in memory, in float32."""


Bound = Literal["drift", "loss"]


class Search(Config):
    """What `bedside merger search` looks for, and on what."""

    target: SetName | None = None
    """The set of `eval.heldout` in which the model shall gain; development texts are taken."""
    exam: Name | None = None
    """Instead of it an exam of `eval.exams`, by option scoring; development items are taken."""
    general: tuple[SetName, ...] = Field(min_length=1)
    """Sets in which it shall not drift."""
    trials: int = Field(default=24, ge=2)
    """Merges that are tried."""
    bound: Bound = "drift"
    """What is bounded in the general sets: how far predictions move in either direction, or
    (`loss`) how much worse they become, as a policy's guards have it."""
    limit: float | None = None
    """Nats per token; without it, what DeFineMed's schedule has."""
    max_length: int = Field(default=MAX_LENGTH, ge=2)
    """Tokens that a model sees at once."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the interval of the gain over DeFineMed's schedule."""
    seed: NonNegativeInt = 0
    """Of the halves of the texts, and of mutations."""

    @property
    def aim(self) -> str:
        """The name of the set or the exam in which the model shall gain."""
        return self.target or self.exam or ""

    @model_validator(mode="after")
    def _one_aim(self) -> Self:
        if (self.target is None) == (self.exam is None):
            raise ValueError("name either a target, a set of texts, or an exam")
        if self.aim in self.general:
            raise ValueError(f"general names {self.aim}, in which the model shall gain")
        return self


class MergerConfig(Config):
    """How base and checkpoint are merged; without a method, as DeFineMed, A.4, has it."""

    preset: PresetName | None = None
    """A merge with a name, instead of `method`."""
    method: MethodName | None = None
    """One of mergekit's."""
    parameters: Settings = Field(default_factory=dict)
    """Of the method, in mergekit's words: a number, numbers over the depth, or filters."""
    models: tuple[Source, ...] = ()
    """What is merged; by default base and checkpoint."""
    dtype: Dtype = "bfloat16"
    """Of the stored weights. The merge itself is computed in float32."""
    rounding: Literal["nearest", "stochastic"] = "nearest"
    """`stochastic`: up or down at random, so that a small update survives on average."""
    seed: NonNegativeInt = 0
    """Of methods that draw at random, and of stochastic rounding."""
    probe: Probe | None = None
    """Without it, the export reports the rounding of weights but not its effect on likelihood."""
    search: Search | None = None
    """Read by `bedside merger search` alone."""

    @property
    def merge(self) -> Merge:
        """The preset's, or the one that is written out."""
        if self.method is None:
            return PRESETS[self.preset or DEFAULT]
        return Merge(method=self.method, parameters=self.parameters, models=self.models)

    @model_validator(mode="after")
    def _one_merge(self) -> Self:
        if self.method is None:
            if self.parameters or self.models:
                raise ValueError("parameters and models belong to a method - name it, too")
        elif self.preset is not None:
            raise ValueError("preset and method exclude each other - leave one out")
        else:
            check(self.method, self.parameters, self.models)
        if self.rounding == "stochastic" and self.dtype != "bfloat16":
            raise ValueError("stochastic rounding is for dtype bfloat16")
        return self
