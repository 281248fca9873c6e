"""Statistics that are no mean over clusters, of one model or of two on the same items.

Jackknife pseudo-values would let them pass as means, and did not hold their level (docs/log.md): a
cut or a bin's edge is no smooth function of the items. So clusters are resampled, and the interval
of the resamples' percentiles and that of their standard deviation with Student's quantile must
agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bedside_eval.statistics.calibration import Statistic
from bedside_eval.statistics.estimate import MIN_CLUSTERS, Comparison, Method
from bedside_eval.statistics.resampling import expanded, resolved, weights

Array = NDArray[np.float64]


def resampled(
    statistic: Statistic,
    models: Sequence[tuple[Sequence[float], Sequence[float]]],
    clusters: Sequence[str],
    *,
    confidence: float,
    seed: int,
    family: int = 1,
) -> Comparison:
    """The statistic of one model, or that of a first model minus that of a second.

    Args:
        statistic: of confidences, right or wrong, and weights.
        models: one or two; confidences and right or wrong of the same items, in order.
        clusters: of the items; each counts once, however many items it has.
        confidence: of the intervals, two-sided.
        seed: of the resamples, from `seed_of`.
        family: how many conditions share the error, for the resolution of p-values.

    Returns:
        Without information where there are too few clusters, or no resample differs.
    """
    _, owner, sizes = np.unique(np.asarray(clusters), return_inverse=True, return_counts=True)
    given = [(np.asarray(s, np.float64), np.asarray(r, np.float64)) for s, r in models]

    def value(shares: Array) -> Array:
        per_item = (shares / sizes)[:, owner]
        first, *second = (statistic(*model, per_item) for model in given)
        return first - second[0] if second else first

    count = len(sizes)
    estimate = float(value(np.full((1, count), 1 / count))[0])
    if count < MIN_CLUSTERS:
        return Comparison(estimate, count, confidence)
    resolution, number = resolved(confidence, family, count)
    # Blocks are bounded in clusters; items and bins are a few times more.
    found = np.concatenate([value(block) for block in weights(count, number, seed)])
    error = float(found.std(ddof=1)) * np.sqrt(count / (count - 1))
    if not error > np.finfo(float).eps:
        return Comparison(estimate, count, confidence)

    def bounds(tail: float) -> dict[Method, tuple[float, float]]:
        beyond = expanded(tail, count)
        low, high = np.quantile(found, [beyond, 1 - beyond])
        reach = float(stats.t.isf(tail, count - 1)) * error
        return {"bootstrap": (float(low), float(high)), "t": (estimate - reach, estimate + reach)}

    return Comparison(estimate, count, confidence, bounds, resolution=resolution)
