"""One value per cluster: what depends on one patient or one document counts once.

Sums are exact (`math.fsum`) and clusters sorted by name, so that the order of the texts in their
folder changes no bit of a result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cluster_ratios(
    numerators: Sequence[float], denominators: Sequence[float], clusters: Sequence[str]
) -> Array:
    """Sum of the numerators by sum of the denominators of each cluster, as nats by bytes.

    Returns:
        Shape (clusters,), sorted by the clusters' names.
    """
    top, bottom = _sums(numerators, clusters), _sums(denominators, clusters)
    return np.array([top[name] / bottom[name] for name in sorted(top)])


def cluster_means(values: Sequence[float], clusters: Sequence[str]) -> Array:
    """Mean of each cluster, as of right (1) and wrong (0) answers; shape as `cluster_ratios`."""
    return cluster_ratios(values, [1.0] * len(values), clusters)


def _sums(values: Sequence[float], clusters: Sequence[str]) -> dict[str, float]:
    members: dict[str, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        members.setdefault(cluster, []).append(value)
    return {cluster: math.fsum(found) for cluster, found in members.items()}
