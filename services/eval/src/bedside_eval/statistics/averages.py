"""A weighted mean of several sets' means, with the error of a stratified sample.

Each set's mean is over its clusters; the variance of the average is the sum of the squared weights
times the variances of the sets' means, here of paired differences (Cochran, Sampling Techniques,
1977, section 5.4). It is written as one mean over the clusters of all sets, each having the value
by which it moves the average (linearisation; Woodruff, J. Am. Stat. Assoc. 66, 1971), so that every
method of a single mean applies, and a patient who is in several sets is one cluster.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def combined(
    values: Sequence[Array], clusters: Sequence[Sequence[str]], weights: Sequence[float]
) -> Array:
    """One value per cluster of all sets, whose mean is the weighted mean of the sets' means.

    Args:
        values: by set, one per cluster.
        clusters: by set, the names of these clusters; one that several sets have is one.
        weights: of the sets; their sum need not be 1.

    Returns:
        Shape (clusters of all sets,), in the order of their first set and place.
    """
    total, estimate = math.fsum(weights), 0.0
    every = {name: 0.0 for names in clusters for name in names}
    for names, weight, here in zip(clusters, weights, values, strict=True):
        estimate += weight / total * float(here.mean())
        # As each set's mean is estimated too, squares about it are too small by (n - 1) / n.
        stretch = math.sqrt(len(here) / (len(here) - 1)) if len(here) > 1 else 1.0
        moved = weight / total * len(every) / len(here) * stretch * (here - here.mean())
        for name, value in zip(names, moved.tolist(), strict=True):
            every[name] += value
    return estimate + np.array(list(every.values()))
