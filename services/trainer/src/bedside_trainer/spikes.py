"""Spikes of the loss or the gradient: found before the update, left out, told with their documents.

The rule is OLMo-core's (`StabilityMonitorCallback`): a value is a spike if it lies more than six
standard deviations above the mean of the last 128. A value that is no number always is one.

The monitor is asked between backward pass and update. The update of a spiking step is not made, so
weights and moments are, bit for bit, those before it: the cheapest way back there is. If steps
spike one after another, the weights themselves were damaged earlier; then the training goes back to
the newest state on disk from before and leaves out every row from there to here, as PaLM did
(Chowdhery et al. 2022, section 5.1). How often is bounded, since a training that only skips has
stopped learning. Everything follows from losses and gradients, so a resumed training decides alike.

Not covered: a slow divergence without a jump (`milestones.early_stop` sees that), and windows that
are not full yet, where only what is no number counts.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from bedside_core.config import Config

SHOWN = 5
"""Documents that a message names; the report has all of them."""


class Spikes(Config):
    """What a spike is, and how many a training gets over."""

    window: Annotated[int, Field(ge=8)] = 128
    """Steps that a new one is compared with; until there are so many, only losses and gradients
    that are no numbers count."""
    sigmas: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 6.0
    """Standard deviations above their mean from which a value is a spike."""
    in_a_row: Annotated[int, Field(ge=2)] = 3
    """After so many spikes one after another the training goes back to the state before."""
    limit: Annotated[int, Field(ge=0)] = 12
    """Spikes in the whole training; one more ends it."""


class Spike(BaseModel):
    """A step whose update was not made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int
    """From 1, as in the loss curve."""
    loss: float | None
    """None: no number. So is the next."""
    grad_norm: float | None
    loss_limit: float | None
    """What the loss was compared with; None while the window fills."""
    grad_norm_limit: float | None
    rows: tuple[int, ...] = ()
    documents: tuple[str, ...] = ()
    """Ids of the documents in these rows."""
    back_to: int | None = None
    """The step whose state the training went back to, if it did; rows from there to here are left
    out."""

    def __str__(self) -> str:
        parts = []
        for name, value, limit in (
            ("loss", self.loss, self.loss_limit),
            ("gradient norm", self.grad_norm, self.grad_norm_limit),
        ):
            if value is None:
                parts.append(f"{name} is not finite")
            elif limit is not None and value > limit:
                parts.append(f"{name} {value:.4g} is above {limit:.4g}")
        named = ", ".join(self.documents[:SHOWN])
        more = len(self.documents) - SHOWN
        rest = f" and {more} more" if more > 0 else ""
        return f"step {self.step} is left out: {'; '.join(parts)}; documents {named}{rest}"


class SpikeMonitor:
    """Judges each step by those before it."""

    def __init__(self, config: Spikes) -> None:
        self.config = config
        self.spikes: list[Spike] = []
        self._losses: deque[float] = deque(maxlen=config.window)
        self._norms: deque[float] = deque(maxlen=config.window)
        self._in_a_row = 0

    def observe(self, step: int, loss: float, grad_norm: float) -> bool:
        """Whether step `step` (from 1) spikes; if it does not, it counts for those after it."""
        limits = _limit(self._losses, self.config), _limit(self._norms, self.config)
        values = loss, grad_norm
        if not any(map(_is_spike, values, limits)):
            self._losses.append(loss)
            self._norms.append(grad_norm)
            self._in_a_row = 0
            return False
        told = [value if math.isfinite(value) else None for value in values]
        self.spikes.append(
            Spike(
                step=step,
                loss=told[0],
                grad_norm=told[1],
                loss_limit=limits[0],
                grad_norm_limit=limits[1],
            )
        )
        self._in_a_row += 1
        return True

    def name(self, rows: Sequence[int], documents: Sequence[str]) -> Spike:
        """Say what was in the step that just spiked; gives the whole record."""
        found = {"rows": tuple(rows), "documents": tuple(documents)}
        self.spikes[-1] = self.spikes[-1].model_copy(update=found)
        return self.spikes[-1]

    @property
    def is_damaged(self) -> bool:
        """Whether so many steps spiked in a row that the cause lies before them."""
        return self._in_a_row >= self.config.in_a_row

    @property
    def is_over(self) -> bool:
        """Whether there were more spikes than a training may have."""
        return len(self.spikes) > self.config.limit

    def go_back(self, step: int, then: Any) -> None:
        """Take on what the monitor knew after `step` (`state()` of then), and keep the spikes."""
        spikes = [*self.spikes[:-1], self.spikes[-1].model_copy(update={"back_to": step})]
        self.restore(then)
        self.spikes = spikes

    def state(self) -> dict[str, Any]:
        """As plain JSON, for the record of a state."""
        return {
            "losses": list(self._losses),
            "norms": list(self._norms),
            "in_a_row": self._in_a_row,
            "spikes": [spike.model_dump() for spike in self.spikes],
        }

    def restore(self, state: Any) -> None:
        """Go on from what `state` gave."""
        self._losses = deque(state["losses"], maxlen=self.config.window)
        self._norms = deque(state["norms"], maxlen=self.config.window)
        self._in_a_row = state["in_a_row"]
        self.spikes = [Spike.model_validate(spike) for spike in state["spikes"]]


def _limit(values: Sequence[float], config: Spikes) -> float | None:
    """Mean and standard deviations of a full window; None before, and where nothing varies."""
    if len(values) < config.window:
        return None
    deviation = statistics.stdev(values)
    return statistics.fmean(values) + config.sigmas * deviation if deviation > 0 else None


def _is_spike(value: float, limit: float | None) -> bool:
    return not math.isfinite(value) or (limit is not None and value > limit)
