"""Paired differences of two models, cluster by cluster."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bedside_eval.statistics.estimate import MIN_CLUSTERS, Comparison, Method
from bedside_eval.statistics.means import Means, varies
from bedside_eval.statistics.resampling import resolved

Array = NDArray[np.float64]


def difference(
    values: Sequence[float] | Array, *, confidence: float, seed: int, family: int = 1
) -> Comparison:
    """The mean of values per cluster, each cluster counting once.

    Args:
        values: one per cluster, as the differences of two models, or one model's values.
        confidence: of the intervals, two-sided.
        seed: of the resamples, from `seed_of`.
        family: how many conditions share the error (`holm`), for the resolution of p-values.

    Returns:
        Without information where the values are constant, too few, or so nearly all the same that
        resamples have no spread.
    """
    # Sorted, so that the resamples do not depend on the order either.
    data = np.sort(np.asarray(values, dtype=np.float64))
    estimate = math.fsum(data) / len(data)
    if len(data) < MIN_CLUSTERS or not varies(data[None, :])[0]:
        return Comparison(estimate, len(data), confidence)
    resolution, number = resolved(confidence, family, len(data))
    means = Means(data[None, :], number=number, seed=seed)

    def bounds(tail: float) -> dict[Method, tuple[float, float]]:
        return {m: (float(low[0]), float(high[0])) for m, (low, high) in means.bounds(tail).items()}

    if not all(math.isfinite(b) for pair in bounds((1 - confidence) / 2).values() for b in pair):
        return Comparison(estimate, len(data), confidence)
    return Comparison(estimate, len(data), confidence, bounds, resolution=resolution)
