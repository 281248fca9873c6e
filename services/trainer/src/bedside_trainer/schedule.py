"""The learning rate of each step, a pure function of the step: nothing to save, nothing to restore.

Every kind begins with a linear warm-up from zero. Afterwards:

- linear: straight down (DeFineMed, appendix A.3, with a warm-up of about a fifth of the steps).
- constant: the peak (PARCOMED, section 4, without a warm-up).
- wsd: the peak, then down in the last steps (warm-up, stable, decay; Hu et al. 2024, "MiniCPM",
  section 4), along 1 - sqrt(x), which Hägele et al. 2024 ("Scaling laws and compute-optimal
  training beyond fixed training durations", section 3) found better than a straight line.
- rewarm: down along half a cosine to a tenth of the peak. The base was trained down to a small rate
  before; raised again and decayed again it learns as if it had seen both corpora at once (Ibrahim
  et al. 2024, "Simple and scalable strategies to continually pre-train large language models",
  sections 4.1 and 6; they replay a little of the earlier text, see `trainer.replay`).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bedside_core.config import Config

WARMUP_SHARE = 0.03
DECAY_SHARE = 0.1
"""Of wsd's decay: a tenth of the steps, as in MiniCPM."""
FINAL_SHARE = {"linear": 0.0, "wsd": 0.0, "rewarm": 0.1}
"""Where each kind's decay ends."""

Share = Annotated[float, Field(ge=0, le=1)]


class Schedule(Config):
    """How the learning rate goes up and down."""

    kind: Literal["linear", "constant", "wsd", "rewarm"] = "linear"
    """After the warm-up: straight down; level; level and then down; or down along a cosine."""
    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    """Steps in which the rate rises from zero to its peak; in the place of `warmup_share`."""
    warmup_share: Annotated[float, Field(ge=0, lt=1)] | None = None
    """The same as a share of all steps; by default 0.03."""
    decay_share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Of `wsd` alone: the share of all steps in which the rate falls at the end; by default 0.1."""
    final_share: Share | None = None
    """Where the rate ends, as a share of its peak; by default 0.1 with `rewarm`, otherwise 0."""

    @model_validator(mode="after")
    def _what_belongs_together(self) -> Self:
        if self.warmup_steps is not None and self.warmup_share is not None:
            raise ValueError("warmup_steps and warmup_share are both set - unset one")
        if self.decay_share is not None and self.kind != "wsd":
            raise ValueError(f"decay_share belongs to kind wsd, not {self.kind} - unset it")
        if self.final_share is not None and self.kind == "constant":
            raise ValueError("final_share has no meaning for kind constant - unset it")
        return self

    def warmup(self, steps: int) -> int:
        """Steps of the warm-up in a training of so many."""
        if self.warmup_steps is not None:
            return self.warmup_steps
        share = WARMUP_SHARE if self.warmup_share is None else self.warmup_share
        return math.ceil(share * steps)

    def rate(self, step: int, steps: int) -> float:
        """The share of the peak, from 0 to 1, of step `step` (counted from 0) of `steps`."""
        warmup = self.warmup(steps)
        if step < warmup:
            return step / warmup
        if self.kind == "constant":
            return 1.0
        final = FINAL_SHARE[self.kind] if self.final_share is None else self.final_share
        return final + (1 - final) * self._left(step, steps, warmup)

    def _left(self, step: int, steps: int, warmup: int) -> float:
        """What is left of the way down, from 1 to 0, once the rate has been at its peak."""
        share = DECAY_SHARE if self.decay_share is None else self.decay_share
        begin = warmup if self.kind != "wsd" else max(warmup, steps - math.ceil(share * steps))
        left = min(1.0, max(0.0, (steps - step) / max(1, steps - begin)))
        match self.kind:
            case "wsd":
                return 1 - math.sqrt(1 - left)
            case "rewarm":
                return (1 - math.cos(math.pi * left)) / 2
        return left
