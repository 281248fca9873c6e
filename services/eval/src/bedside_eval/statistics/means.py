"""Intervals of the mean of independent values, by four methods that err differently.

* `bootstrap`: percentiles of resampled means with Hesterberg's small-sample expansion (2015);
  good with light tails.
* `t`: Student's; too wide with outliers, which is the safe side, and blind to skew.
* `bootstrap_t`: percentiles of the studentised resampled means (Efron 1982); follows skew.
* `leave_one_out`: the lowest and the highest bound after leaving out each value in turn, so that
  no single cluster decides; of Student's interval and of the one with Hall's correction for skew
  (J. R. Statist. Soc. B 54(1), 1992, 221-228; sample skewness G1 of Joanes and Gill 1998).

Whoever asks for agreement of all errs less than by any one (docs/statistics.md).

Tested in tests/eval/statistics/test_difference.py.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bedside_eval.statistics.estimate import Method
from bedside_eval.statistics.resampling import BEYOND, CEILING, expanded, weights

Array = NDArray[np.float64]
Pair = tuple[Array, Array]

_CONSTANT = 1e-9
"""Values whose range is this share of their size are all the same but for rounding."""
_TRACE = 1e-12
"""Rounding leaves this share of a variance where there is none."""


def varies(values: Array) -> NDArray[np.bool_]:
    """Whether there is any information in each row: copies of one text hold none."""
    return np.asarray(np.ptp(values, axis=1) > _CONSTANT * np.abs(values).max(axis=1))


class Means:
    """The mean of each row of values, with its intervals."""

    def __init__(self, values: Array, *, number: int, seed: int, skewed: bool = True) -> None:
        """Resample; rows share the resamples.

        Args:
            values: shape (data sets, clusters), at least 4 clusters.
            number: of resamples.
            seed: of the resamples.
            skewed: whether the two methods for skew are wanted, `bootstrap_t` and Hall's.
        """
        self.mean: Array = values.mean(axis=1)
        self._values: Array = values - self.mean[:, None]
        self._size, self._number = values.shape[1], number
        self._error: Array = self._values.std(axis=1, ddof=1) / math.sqrt(self._size)
        self._means: Array = np.empty((len(values), number))
        self._ratios: Array | None = np.empty_like(self._means) if skewed else None
        self._resample(seed)

    def _resample(self, seed: int) -> None:
        start, squares = 0, self._values**2
        for block in weights(self._size, self._number, seed):
            here = slice(start, start + len(block))
            means = self._means[:, here] = self._values @ block.T
            if self._ratios is not None:
                variances = squares @ block.T - means**2
                variances[variances < _TRACE * squares.max(axis=1, keepdims=True)] = 0
                errors = np.sqrt(variances / (self._size - 1))
                with np.errstate(divide="ignore", invalid="ignore"):
                    self._ratios[:, here] = np.where(means == 0, 0, means / errors)
            start += len(block)

    def bounds(self, tail: float) -> dict[Method, Pair]:
        """Low and high bounds, each of shape (data sets,) and wrong with probability `tail`.

        Those of `bootstrap_t` can be infinite, where resamples without spread are too many.
        """
        found: dict[Method, Pair] = {"bootstrap": self._bootstrap(tail), "t": self._student(tail)}
        if self._ratios is not None:
            # Of infinite ratios the difference is not a number, so none is interpolated.
            low, high = np.quantile(
                self._ratios, [tail, 1 - tail], axis=1, method="closest_observation"
            )
            found["bootstrap_t"] = (-high * self._error, -low * self._error)
        found["leave_one_out"] = self._leave_one_out(tail)
        # Percentiles of heavily skewed data can miss the mean itself.
        return {
            method: (self.mean + np.minimum(low, 0), self.mean + np.maximum(high, 0))
            for method, (low, high) in found.items()
        }

    def _bootstrap(self, tail: float) -> Pair:
        percentile = expanded(tail, self._size)
        if percentile < BEYOND / CEILING:
            # Beyond what resamples show: the range of the data bounds every percentile.
            return self._values.min(axis=1), self._values.max(axis=1)
        low, high = np.quantile(self._means, [percentile, 1 - percentile], axis=1)
        return low, high

    def _student(self, tail: float) -> Pair:
        reach = stats.t.isf(tail, self._size - 1) * self._error
        return -reach, reach

    def _leave_one_out(self, tail: float) -> Pair:
        """Closed forms on centred values: the sum of all is zero."""
        left, values = self._size - 1, self._values
        means = -values / left
        squares = (values**2).sum(axis=1, keepdims=True) - values**2
        variances = np.maximum(squares / left - means**2, 0)
        errors = np.sqrt(variances / (left - 1))
        quantile = float(stats.t.isf(tail, left - 1))
        down: Array | float = quantile
        up: Array | float = quantile
        if self._ratios is not None:
            cubes = (values**3).sum(axis=1, keepdims=True) - values**3
            third = cubes / left - 3 * means * squares / left + 2 * means**3
            some = variances > _TRACE * squares.max(axis=1, keepdims=True)
            skews = np.divide(third, variances**1.5, out=np.zeros_like(third), where=some)
            strength = skews * math.sqrt(left - 1) / (left - 2)
            down = np.maximum(quantile, _unskewed(quantile, strength))
            up = np.maximum(quantile, -_unskewed(-quantile, strength))
        return (means - down * errors).min(axis=1), (means + up * errors).max(axis=1)


def _unskewed(quantile: float, strength: Array) -> Array:
    """The studentised mean whose transform by Hall's cubic is `quantile`.

    Args:
        quantile: of Student's distribution.
        strength: skewness by the root of the size.
    """
    small = np.abs(strength) < 1e-9
    strength = np.where(small, 1, strength)
    bent = 3 * (np.cbrt(1 + strength * (quantile - strength / 6)) - 1) / strength
    return np.where(small, quantile, bent)
