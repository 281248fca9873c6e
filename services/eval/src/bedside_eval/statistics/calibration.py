"""How well a model's confidence in its choice fits how often the choice is right.

The confidence is the softmax of the options' log-likelihoods. Several right options count as one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array, Array, Array], Array]
"""Of confidences and right (1) or wrong (0), shape (items,) each, with weights of the items, shape
(resamples, items); gives shape (resamples,)."""

BINS = 10
"""At most; each holds as many items, ten or more where there are as many."""
COVERAGE = 0.8
"""Share of the items that a model answers which may leave out those it is least sure of."""


def probabilities(loglikelihoods: Sequence[float]) -> Array:
    """The softmax of the options, shape (options,)."""
    shifted = np.asarray(loglikelihoods, np.float64) - max(loglikelihoods)
    found = np.exp(shifted)
    normed: Array = found / found.sum()
    return normed


def brier(loglikelihoods: Sequence[float], answers: Sequence[int]) -> float:
    """Squared error of the probabilities (Brier 1950), halved: 0 is sure and right, 1 the contrary.

    Args:
        loglikelihoods: of the options, in nats.
        answers: indices of the right ones.
    """
    found = probabilities(loglikelihoods)
    right = math.fsum(found[list(answers)])
    wrong = np.delete(found, list(answers))
    return ((1 - right) ** 2 + math.fsum(wrong**2)) / 2


def confidence(loglikelihoods: Sequence[float]) -> float:
    """Probability of the likeliest option."""
    return float(probabilities(loglikelihoods).max())


def bins_for(items: int) -> int:
    """How many bins hold ten items, at least two and at most `BINS`."""
    return max(2, min(BINS, items // 10))


def expected_calibration_error(bins: int) -> Statistic:
    """Mean distance of confidence and accuracy over bins of equal mass (Nguyen and O'Connor 2015).

    Bins are the model's own: two models' confidences have no common scale. With few items it is
    too high for every model, a perfect one too, so a difference tells more than a value.
    """

    def statistic(sure: Array, right: Array, weights: Array) -> Array:
        order = np.argsort(sure, kind="stable")
        apart, mass = (sure - right)[order], weights[:, order]
        upto = mass.cumsum(axis=1)
        whole = upto[:, -1:]
        found: Array = np.zeros(len(weights))
        for number in range(bins):
            low, high = number * whole / bins, (number + 1) * whole / bins
            # An item on an edge is split between the bins.
            here = np.clip(np.minimum(upto, high) - np.maximum(upto - mass, low), 0, None)
            found += abs(here @ apart)
        found /= whole[:, 0]
        return found

    return statistic


def coverage_accuracy(sure: Array, right: Array, weights: Array) -> Array:
    """Accuracy on the `COVERAGE` of items that a model is surest of; of equally sure ones a part.

    One minus the selective risk at that coverage (El-Yaniv and Wiener 2010).
    """
    order = np.argsort(-sure, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(sure[order]) != 0])
    mass = np.add.reduceat(weights[:, order], starts, axis=1)
    correct = np.add.reduceat(weights[:, order] * right[order], starts, axis=1)
    upto = mass.cumsum(axis=1)
    wanted = COVERAGE * upto[:, -1:]
    taken = np.clip(wanted - (upto - mass), 0, mass)
    share = np.divide(correct, mass, out=np.zeros_like(mass), where=mass > 0)
    found: Array = (taken * share).sum(axis=1) / wanted[:, 0]
    return found
