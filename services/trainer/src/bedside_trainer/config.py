"""The sections `base` and `trainer` of a run config.

Tested in tests/trainer/test_loop.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from bedside_core.config import Config
from bedside_core.kinds.heldout import SetName
from bedside_models.device import DeviceSetting
from bedside_models.scores import MAX_LENGTH
from bedside_trainer.data.packing import Packing
from bedside_trainer.lora import Lora
from bedside_trainer.milestones import Milestones
from bedside_trainer.mixture import Replay
from bedside_trainer.pilot.settings import Pilot
from bedside_trainer.plan.settings import Prices
from bedside_trainer.schedule import Schedule
from bedside_trainer.spikes import Spikes
from bedside_trainer.state.config import StatesConfig
from bedside_trainer.step.settings import Parallel, Step
from bedside_trainer.watch.settings import Watch

NUMBERS = (
    *("model_type", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "vocab_size", "max_position_embeddings"),
)
"""What `base.architecture` must say."""


_EXPONENT = re.compile(r"[+-]?\d+e[+-]?\d+")
"""A number without a point is text in YAML 1.1, and so Helm writes them."""


def _numbers_in(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _numbers_in(entry) for name, entry in value.items()}
    is_number = isinstance(value, str) and _EXPONENT.fullmatch(value)
    return float(value) if is_number else value


class Shrink(Config):
    """Random weights in the proportions of `base.architecture`, to try a config; never promoted."""

    layers: int = Field(default=2, ge=1, le=8)
    hidden_size: int = Field(default=64, ge=64, le=512, multiple_of=16)
    """Width of the model; attention heads and feed-forward blocks follow in proportion."""


class BaseConfig(Config):
    """Where the base model comes from: exactly one of a package and a directory."""

    gguf_package: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """An installed Python package with one GGUF file in its folder; it is never imported."""
    directory: Path | None = None
    """A Hugging Face model directory: safetensors weights, config and tokenizer."""
    licence: str = Field(min_length=1)
    """SPDX identifier of the weights' licence, or `LicenseRef-...`."""
    architecture: dict[str, Any] | None = None
    """Of the model's config.json, `model_type` and its numbers: what is checked, planned and shrunk
    where the model itself is not."""
    shrink: Shrink | None = None
    """Instead of the model, a small one of random weights."""

    @field_validator("architecture")
    @classmethod
    def _read_as_numbers(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if value is None else _numbers_in(value)

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        lacking = [name for name in NUMBERS if name not in (self.architecture or NUMBERS)]
        if lacking:
            raise ValueError(f"architecture: {lacking[0]} is missing - copy it from config.json")
        if self.shrink is not None and self.architecture is None:
            raise ValueError("shrink needs the numbers of the model - set base.architecture")
        return self

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.gguf_package is None) == (self.directory is None):
            both = self.directory is not None
            raise ValueError(
                "gguf_package and directory are both set - unset one, for example with "
                "`--set base.gguf_package=null`"
                if both
                else "gguf_package or directory is missing - set one of them"
            )
        return self


class TrainerConfig(Config):
    """Continual pre-training with AdamW."""

    renamed: ClassVar = {"warmup_ratio": "schedule.warmup_share"}

    sequence_length: int = Field(default=2048, ge=2)
    """Tokens per packed row."""
    packing: Packing = Packing()
    mix: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(default={})
    """How often an epoch takes the rows of a source of the corpus: 2 is twice, 0.5 every other, 0
    none. A source that is not named has 1. Each named one is packed into rows of its own."""
    num_epochs: int = Field(default=1, ge=1)
    batch_size: int = Field(default=8, ge=1)
    """Rows per optimizer step."""
    max_steps: int | None = Field(default=None, ge=1)
    """An upper bound on the optimizer steps; the schedule decays to it."""
    learning_rate: float = Field(default=2e-5, gt=0, allow_inf_nan=False)
    """The peak, reached at the end of the warm-up."""
    schedule: Schedule = Schedule()
    weight_decay: float = Field(default=0.01, ge=0, allow_inf_nan=False)
    """Of matrices only: norms and biases are never decayed."""
    max_grad_norm: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Longer gradients are scaled down to this L2 norm."""
    step: Step = Step()
    device: DeviceSetting = "auto"
    """Where it is trained. `auto` is what BEDSIDE_DEVICE says (the images for GPUs set it to cuda),
    else a GPU if there is one. A GPU that was asked for and is not there is refused."""
    parallel: Parallel = Parallel()
    seed: int = Field(default=17, ge=0)
    states: StatesConfig = StatesConfig()
    """Resumable states."""
    heldout_max_length: int = Field(default=MAX_LENGTH, ge=2)
    """Tokens that the model sees at once when the held-out texts are measured; the same number as
    `eval.max_length` and `merger.probe.max_length` makes the three perplexities comparable."""
    method: Literal["full", "lora"] = "full"
    """All weights, or adapters beside them that are merged at the end."""
    lora: Lora = Lora()
    """Of `method: lora`."""
    spikes: Spikes = Spikes()
    milestones: Milestones | None = None
    """By default the end of the training is the checkpoint, and nothing is scored on the way."""
    replay: Replay | None = None
    """Text of the base itself, mixed in; `bedside trainer replay` lets it write beforehand."""
    heldout: SetName
    """A set of `eval.heldout`: the perplexity of its development part is measured before and after;
    it is never trained on."""
    # Not part of the recipe: however it is watched, the same is trained.
    watch: Watch = Field(default=Watch(), exclude=True)
    # Nor what it costs.
    prices: Prices = Field(default=Prices(), exclude=True)
    # Nor is this: it says beforehand what the recipe would bring.
    pilot: Pilot = Field(default=Pilot(), exclude=True)

    @model_validator(mode="after")
    def _means_of_whole_weights(self) -> Self:
        if self.method == "lora" and self.milestones:
            if self.milestones.average:
                raise ValueError(
                    "milestones.average needs method full - the mean of adapters is not the mean "
                    "of what they do"
                )
            if self.milestones.publish != "none":
                raise ValueError(
                    "milestones.publish needs method full - milestones of adapters are no models"
                )
        return self

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.packing.overlap >= self.sequence_length:
            raise ValueError("packing.overlap is no shorter than a row - set it to a few tokens")
        return self
