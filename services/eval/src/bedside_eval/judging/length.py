"""Preference at equal length of both answers.

The score of each item is regressed on how much longer the first answer is, `tanh(d / s)` with `s`
the root mean square of `d`: AlpacaEval 2 (Dubois et al. 2024) without the difficulties that it has
of its own prompts alone. The intercept is the score at equal length. Its interval is a bootstrap
over clusters, as every other's here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bedside_eval.statistics.estimate import Comparison
from bedside_eval.statistics.resampled import resampled

Array = NDArray[np.float64]


def excess(longer: Sequence[int]) -> Array:
    """How much longer the first answers are, between -1 and 1; 0 where all are equally long."""
    words = np.asarray(longer, np.float64)
    scale = math.sqrt(float(np.mean(words**2)))
    return np.tanh(words / scale) if scale else words


def controlled(
    scores: Sequence[float],
    longer: Sequence[int],
    clusters: Sequence[str],
    *,
    confidence: float,
    seed: int,
) -> Comparison:
    """The score at equal length.

    Args:
        scores: of the first model, from 0 to 1, for each item.
        longer: words of its answer minus those of the second's.
        clusters: of the items; each counts once.
        confidence: of the intervals, two-sided.
        seed: of the resamples.
    """
    model = (list(excess(longer)), list(scores))
    return resampled(_intercept, [model], clusters, confidence=confidence, seed=seed)


def slope(scores: Sequence[float], longer: Sequence[int], clusters: Sequence[str]) -> float:
    """What being longer is worth."""
    _, owner, sizes = np.unique(np.asarray(clusters), return_inverse=True, return_counts=True)
    weights = (1 / sizes / len(sizes))[owner][None, :]
    return float(_slopes(excess(longer), np.asarray(scores, np.float64), weights)[0])


def _intercept(x: Array, y: Array, weights: Array) -> Array:
    """Weighted least squares, one line for each row of weights, shape (resamples,).

    Where all first answers are longer the line is drawn beyond them, and must stay a share; without
    the last digits, equal scores are equal.
    """
    mass = weights.sum(axis=1)
    means = (weights @ y) / mass - _slopes(x, y, weights) * (weights @ x) / mass
    shares: Array = np.clip(np.round(means, 12), 0, 1)
    return shares


def _slopes(x: Array, y: Array, weights: Array) -> Array:
    """0 where lengths do not vary, so that the intercept is the mean."""
    mass = weights.sum(axis=1)
    x_mean, y_mean = (weights @ x) / mass, (weights @ y) / mass
    spread = (weights @ (x * x)) / mass - x_mean**2
    common = (weights @ (x * y)) / mass - x_mean * y_mean
    slopes: Array = np.divide(common, spread, out=np.zeros_like(common), where=spread > 1e-12)
    return slopes
