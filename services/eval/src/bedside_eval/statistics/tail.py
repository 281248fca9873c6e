"""The tail guard: how large the share of badly hurt clusters can still be.

A mean over 16 texts cannot see what happens to one patient in thirty. So a policy bounds the share
of clusters that lose more than `delta`, by the one-sided limit of Clopper and Pearson (Biometrika
26, 1934): 17 % where none of 16 lost that much, 2.95 % where none of 100 did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats


class Tail(NamedTuple):
    """Clusters that lost more than a policy allows."""

    lost: int
    clusters: int
    bound: float
    """Upper limit of their share."""


def tail(gains: Sequence[float] | NDArray[np.float64], *, delta: float, confidence: float) -> Tail:
    """Count the clusters whose gain is below -`delta`, and bound their share.

    Args:
        gains: one per cluster.
        delta: a larger loss than this counts.
        confidence: of the bound, one-sided.
    """
    lost = int(np.count_nonzero(np.asarray(gains) < -delta))
    return Tail(lost, len(gains), tail_bound(lost, len(gains), confidence))


def tail_bound(lost: int, clusters: int, confidence: float) -> float:
    """The one-sided upper limit of a share of which `lost` of `clusters` were seen."""
    test = stats.binomtest(lost, clusters, alternative="less")
    return float(test.proportion_ci(confidence, method="exact").high)


def allowed(clusters: int, share: float, confidence: float) -> int | None:
    """The most clusters that may lose with the bound at most `share`; None: too few clusters."""
    if tail_bound(0, clusters, confidence) > share:
        return None
    few, many = 0, clusters
    while many - few > 1:
        middle = (few + many) // 2
        if tail_bound(middle, clusters, confidence) <= share:
            few = middle
        else:
            many = middle
    return few
