"""Accuracies of one exam: of one model, and of two on the same items.

An exam's score is the mean over clusters of the share of right answers. Items of one cluster are
worth less than as many of several: score intervals take the items' effective number, from the
variance between clusters (design effect, Kish 1965), reduced for the few degrees of freedom that
it is known by (Korn and Graubard, Survey Methodology 24(2), 1998, 193-201).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bedside_eval.statistics.clusters import cluster_means
from bedside_eval.statistics.estimate import MIN_CLUSTERS, Bounds, Comparison, Method
from bedside_eval.statistics.means import Means
from bedside_eval.statistics.resampling import resolved
from bedside_eval.statistics.scores import Table, newcombe, tango, wilson

Array = NDArray[np.float64]


def accuracy(correct: Sequence[bool], clusters: Sequence[str], *, confidence: float) -> Comparison:
    """A share of right answers with Wilson's interval.

    A floor such as chance is exceeded where `standing(estimate, floor)` is above.
    """
    values = cluster_means([float(c) for c in correct], clusters)
    share = math.fsum(values) / len(values)
    worth = _Worth(values, len(correct), share * (1 - share))

    def bounds(tail: float) -> dict[Method, tuple[float, float]]:
        low, high = wilson(share, worth.items(tail), float(stats.norm.isf(tail)))
        return {"wilson": (float(low), float(high))}

    if len(values) < MIN_CLUSTERS:
        return Comparison(share, len(values), confidence)
    return Comparison(share, len(values), confidence, bounds)


def accuracy_difference(
    candidate: Sequence[bool], reference: Sequence[bool], clusters: Sequence[str], *,
    confidence: float, seed: int, family: int = 1,
) -> Comparison:  # fmt: skip
    """Accuracy of `candidate` minus that of `reference` on the same items, in order.

    Tango's and Newcombe's intervals, and those of means over clusters; without the two methods
    for skew: what skews is rare discordance, which the score intervals know. Arguments as
    of `difference`.
    """
    pairs = list(zip(candidate, reference, strict=True))
    both, gained, lost, neither = (
        cluster_means([float(pair == kind) for pair in pairs], clusters)
        for kind in ((True, True), (True, False), (False, True), (False, False))
    )
    values = np.sort(gained - lost)
    estimate = math.fsum(values) / len(values)
    shares = Table(*(math.fsum(v) / len(v) for v in (both, gained, lost, neither)))
    worth = _Worth(values, len(pairs), float(shares.gained + shares.lost) - estimate**2)
    if len(values) < MIN_CLUSTERS:
        return Comparison(estimate, len(values), confidence)
    resolution, number = resolved(confidence, family, len(values))
    means = Means(values[None, :], number=number, seed=seed, skewed=False)
    bounds = _bounds(shares, worth, means)
    return Comparison(estimate, len(values), confidence, bounds, resolution=resolution)


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p of the exact McNemar test: are gains and losses equally likely?"""
    if gained + lost == 0:
        return 1.0
    return float(stats.binomtest(gained, gained + lost).pvalue)


class _Worth:
    """How many independent items the items of an exam are worth."""

    def __init__(self, values: Array, items: int, variance: float) -> None:
        """Compare the mean's variance with that of independent items.

        Args:
            values: one per cluster.
            items: in all clusters together.
            variance: of one item.
        """
        self._items, self._clusters = items, len(values)
        self._effective = float(self._clusters)
        between = float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0
        if between > 0:
            # Not less than one item per cluster, nor more than there are.
            self._effective = min(max(variance / between, self._clusters), items)

    def items(self, tail: float) -> float:
        """The effective number for bounds that err with probability `tail`."""
        if self._items == self._clusters:
            return float(self._items)
        known = stats.t.isf(tail, self._items - 1) / stats.t.isf(tail, self._clusters - 1)
        return float(self._effective * known**2)


def _bounds(shares: Table, worth: _Worth, means: Means) -> Bounds:
    def bounds(tail: float) -> dict[Method, tuple[float, float]]:
        table = Table(*(share * worth.items(tail) for share in shares))
        z = float(stats.norm.isf(tail))
        low, high = newcombe(table, z)
        found: dict[Method, tuple[float, float]] = {
            "tango": tango(table, z),
            "newcombe": (float(low), float(high)),
        }
        for method, (lows, highs) in means.bounds(tail).items():
            found[method] = (float(lows[0]), float(highs[0]))
        return found

    return bounds
