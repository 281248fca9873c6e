"""A condition of a policy on many data sets at once, as planning and simulation need it.

It is what `difference`, `standing` and `tail` say one by one (tests/eval/statistics/test_rule.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedside_eval.statistics.estimate import MIN_CLUSTERS
from bedside_eval.statistics.means import Means, varies
from bedside_eval.statistics.tail import allowed

Array = NDArray[np.float64]

_BLOCK = 1_000_000
"""Numbers of one kind that are in memory at once; data sets of a block share their resamples."""


class TailRule(NamedTuple):
    """The upper bound of the share of clusters that lose more than `delta`."""

    delta: float
    max_share: float


class Rule(NamedTuple):
    """Every method's interval lies above `margin`, and not too many clusters lose much."""

    margin: float
    confidence: float
    tail: TailRule | None = None


class Envelopes(NamedTuple):
    """Bounds over all methods, of each data set; infinite without information."""

    low: Array
    high: Array


def envelopes(values: Array, confidence: float, *, number: int, seed: int) -> Envelopes:
    """The lowest and highest bound of any method.

    Args:
        values: shape (data sets, clusters).
        confidence: of each interval, two-sided.
        number: of resamples.
        seed: of the resamples.
    """
    low = np.full(len(values), -np.inf)
    high = np.full(len(values), np.inf)
    if values.shape[1] < MIN_CLUSTERS:
        return Envelopes(low, high)
    for block, (here, part) in enumerate(_blocks(values, number)):
        bounds = Means(part, number=number, seed=seed + block).bounds((1 - confidence) / 2)
        lows, highs = (np.array(b) for b in zip(*bounds.values(), strict=True))
        informed = varies(part) & np.isfinite(lows).all(axis=0) & np.isfinite(highs).all(axis=0)
        low[here] = np.where(informed, lows.min(axis=0), -np.inf)
        high[here] = np.where(informed, highs.max(axis=0), np.inf)
    return Envelopes(low, high)


def shortfall(gains: Array, low: Array, rule: Rule) -> Array:
    """What each data set's gains lack; those with less than 0 pass.

    Args:
        gains: shape (data sets, clusters); positive is better.
        low: of their envelopes, at the rule's confidence.
        rule: what they have to pass.

    Returns:
        Shape (data sets,): what would have to be added to every gain; infinite where no gain helps.
    """
    lacks = rule.margin - low
    if rule.tail is None:
        return lacks
    lost = allowed(gains.shape[1], rule.tail.max_share, rule.confidence)
    if lost is None:
        return np.full(len(gains), np.inf)
    worst = np.partition(gains, lost, axis=1)[:, lost]
    return np.asarray(np.maximum(lacks, -rule.tail.delta - worst))


def _blocks(values: Array, number: int) -> Iterator[tuple[slice, Array]]:
    rows = max(1, _BLOCK // max(number, values.shape[1]))
    for start in range(0, len(values), rows):
        here = slice(start, start + rows)
        yield here, values[here]
