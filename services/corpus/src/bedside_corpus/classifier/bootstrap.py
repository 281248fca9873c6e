"""Sums over resampled clusters (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).

Tested in tests/corpus/classifier/test_certificate.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000


def resampled(values: NDArray[np.float64], clusters: Sequence[str]) -> NDArray[np.float64]:
    """Sums of the rows, of shape (1 + RESAMPLES, columns); the first is the sum of all of them.

    Args:
        values: a row for each document.
        clusters: of each document; whole clusters are drawn, as many as there are.
    """
    names = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, [names[cluster] for cluster in clusters], values)
    random = np.random.default_rng(0)
    found = [sums.sum(axis=0)]
    for _ in range(RESAMPLES):
        drawn = random.integers(0, len(names), len(names))
        found.append(np.bincount(drawn, minlength=len(names)) @ sums)
    return np.array(found)
