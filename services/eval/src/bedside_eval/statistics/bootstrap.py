"""Intervals over texts and items, until the verdict counts clusters (`difference`, `accuracy`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bedside_eval.records import AccuracyDifference
from bedside_eval.statistics.accuracy import mcnemar
from bedside_eval.statistics.estimate import Interval
from bedside_eval.statistics.resampling import expanded

Array = NDArray[np.float64]


class Bootstrap:
    """Seeded bootstrap intervals of one confidence level."""

    def __init__(self, *, confidence: float, samples: int, seed: int) -> None:
        self.confidence, self.samples, self.seed = confidence, samples, seed

    def mean(self, values: Sequence[float]) -> Interval:
        """The mean of `values` with its interval."""
        return self._interval((values,), np.mean)

    def perplexity(self, nll: Sequence[float], tokens: Sequence[int]) -> Interval:
        """exp(sum of nll / sum of tokens), texts being resampled; nll in nats."""
        log = self._interval((nll, tokens), _ratio)
        return Interval(
            estimate=math.exp(log.estimate), low=math.exp(log.low), high=math.exp(log.high)
        )

    def accuracy_difference(
        self, candidate: Sequence[bool], reference: Sequence[bool]
    ) -> AccuracyDifference:
        """Accuracy of `candidate` minus that of `reference` on the same items, in order."""
        gained = sum(c and not r for c, r in zip(candidate, reference, strict=True))
        lost = sum(r and not c for c, r in zip(candidate, reference, strict=True))
        return AccuracyDifference(
            difference=self.mean([float(c) - r for c, r in zip(candidate, reference, strict=True)]),
            gained=gained,
            lost=lost,
            mcnemar_p=mcnemar(gained, lost),
        )

    def _interval(
        self, data: tuple[Sequence[float], ...], statistic: Callable[..., Any]
    ) -> Interval:
        columns: tuple[Array, ...] = tuple(np.asarray(column, dtype=np.float64) for column in data)
        result = stats.bootstrap(
            columns,
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=self.samples,
            confidence_level=1 - 2 * expanded((1 - self.confidence) / 2, len(columns[0])),
            method="percentile",
            rng=np.random.default_rng(self.seed),
        ).confidence_interval
        estimate = float(statistic(*columns, axis=-1))
        # Quantiles of heavily skewed or constant data can miss the estimate, by rounding at least.
        low, high = min(float(result.low), estimate), max(float(result.high), estimate)
        return Interval(estimate=estimate, low=low, high=high)


def _ratio(numerator: Array, denominator: Array, axis: int) -> Array:
    return np.asarray(np.sum(numerator, axis=axis) / np.sum(denominator, axis=axis))


def wilson(correct: int, total: int, confidence: float) -> Interval:
    """A share with its Wilson score interval."""
    interval = stats.binomtest(correct, total).proportion_ci(confidence, method="wilson")
    return Interval(estimate=correct / total, low=float(interval.low), high=float(interval.high))
