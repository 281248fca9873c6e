"""An estimate with one interval per method, and where it stands to a margin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

Method = Literal["bootstrap", "t", "bootstrap_t", "leave_one_out", "tango", "newcombe", "wilson"]
Relation = Literal["above", "below", "undecided", "depends on the method", "no information"]
Bounds = Callable[[float], Mapping[Method, tuple[float, float]]]
"""Low and high bound by method, each of which errs with this probability."""

MIN_CLUSTERS = 8
"""With fewer, no method covers what it promises (88 % instead of 95 % with 4)."""


class _Number(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Interval(_Number):
    """A point estimate between the bounds of its confidence interval."""

    estimate: float
    low: float
    high: float

    def __neg__(self) -> Interval:
        return Interval(estimate=-self.estimate, low=-self.high, high=-self.low)


class Estimate(_Number):
    """What was estimated from how many clusters, and how sure each method is of it."""

    estimate: float
    clusters: int
    confidence: float
    """Of each interval, two-sided."""
    methods: dict[Method, Interval]
    """Empty where the data hold no information: constant, or fewer than `MIN_CLUSTERS` clusters."""

    @property
    def informative(self) -> bool:
        return bool(self.methods)

    @property
    def envelope(self) -> Interval | None:
        """From the lowest to the highest bound of any method; None without information."""
        if not self.methods:
            return None
        return Interval(
            estimate=self.estimate,
            low=min(interval.low for interval in self.methods.values()),
            high=max(interval.high for interval in self.methods.values()),
        )


def turned(estimate: Estimate) -> Estimate:
    """A gain as a loss."""
    methods = {name: -interval for name, interval in estimate.methods.items()}
    return estimate.model_copy(update={"estimate": -estimate.estimate, "methods": methods})


class Standing(NamedTuple):
    """An estimate beside a margin; a condition holds only if it holds by every method."""

    relation: Relation
    above: tuple[Method, ...]
    """Methods whose whole interval lies above the margin."""
    below: tuple[Method, ...]
    undecided: tuple[Method, ...]


def standing(estimate: Estimate, margin: float) -> Standing:
    """Whether all of `estimate` lies above or below `margin`, and by which methods."""
    above = tuple(m for m, interval in estimate.methods.items() if interval.low > margin)
    below = tuple(m for m, interval in estimate.methods.items() if interval.high < margin)
    undecided = tuple(m for m in estimate.methods if m not in above and m not in below)
    relation: Relation = "depends on the method"
    if not estimate.informative:
        relation = "no information"
    elif len(above) == len(estimate.methods):
        relation = "above"
    elif len(below) == len(estimate.methods):
        relation = "below"
    elif len(undecided) == len(estimate.methods):
        relation = "undecided"
    return Standing(relation, above, below, undecided)


class Comparison:
    """An estimate whose methods can be asked at every confidence.

    p-values are one-sided and agree with the intervals by construction: the smallest probability
    of error at which every method's interval still excludes the margin. None is smaller than
    `resolution`, what the resamples can show; without information they are 1.
    """

    def __init__(
        self, estimate: float, clusters: int, confidence: float, bounds: Bounds | None = None,
        *, resolution: float = 1e-9,
    ) -> None:  # fmt: skip
        self._bounds, self._resolution = bounds, resolution
        found = bounds((1 - confidence) / 2) if bounds else {}
        self.estimate = Estimate(
            estimate=estimate,
            clusters=clusters,
            confidence=confidence,
            methods={m: Interval(estimate=estimate, low=b[0], high=b[1]) for m, b in found.items()},
        )

    def p_above(self, margin: float) -> float:
        """Against "no more than `margin`"."""
        return self._p(lambda bounds: all(low > margin for low, _ in bounds.values()))

    def p_below(self, margin: float) -> float:
        """Against "no less than `margin`"."""
        return self._p(lambda bounds: all(high < margin for _, high in bounds.values()))

    def _p(self, excludes: Callable[[Mapping[Method, tuple[float, float]]], bool]) -> float:
        low, high = self._resolution, 0.499
        if self._bounds is None or not excludes(self._bounds(high)):
            return 1.0
        if excludes(self._bounds(low)):
            return low
        while high > low * 1.0001:
            middle = (low * high) ** 0.5
            low, high = (low, middle) if excludes(self._bounds(middle)) else (middle, high)
        return high
