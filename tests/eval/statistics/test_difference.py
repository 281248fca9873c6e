"""Properties of the intervals of means, closed forms done independently, and what is no data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bedside_eval.statistics.difference import difference
from bedside_eval.statistics.estimate import Estimate

gains = st.lists(
    st.floats(min_value=-5, max_value=5).map(lambda x: round(x, 3)),
    min_size=8,
    max_size=30,
    unique=True,
)
METHODS = {"bootstrap", "t", "bootstrap_t", "leave_one_out"}


def measured(values: list[float], confidence: float = 0.95) -> Estimate:
    return difference(values, confidence=confidence, seed=3).estimate


def bounds(estimate: Estimate, scale: float = 1, shift: float = 0) -> list[float]:
    return [
        b * scale + shift
        for m in sorted(estimate.methods)
        for b in sorted(
            (estimate.methods[m].low, estimate.methods[m].high), key=lambda x: x * scale
        )
    ]


@settings(max_examples=15, deadline=None)
@given(gains)
def test_every_method_surrounds_the_mean(values: list[float]) -> None:
    found = measured(values)
    assert found.estimate == pytest.approx(np.mean(values), abs=1e-9)
    assert set(found.methods) == METHODS
    for interval in found.methods.values():
        assert interval.low <= found.estimate <= interval.high
    assert found.envelope
    assert found.envelope.low == min(i.low for i in found.methods.values())
    assert found.envelope.high == max(i.high for i in found.methods.values())


@settings(max_examples=15, deadline=None)
@given(gains, st.floats(min_value=-3, max_value=3))
def test_a_shift_shifts_and_a_scale_scales(values: list[float], shift: float) -> None:
    moved = measured([3 * v + shift for v in values])
    assert bounds(moved) == pytest.approx(bounds(measured(values), 3, shift), abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(gains)
def test_swapping_the_models_negates_nearly(values: list[float]) -> None:
    """Exactly for the closed forms; the resamples are those of other positions."""
    found, swapped = measured(values), measured([-v for v in values])
    for method in ("t", "leave_one_out"):
        a, b = found.methods[method], swapped.methods[method]
        assert (-b.high, -b.low) == pytest.approx((a.low, a.high), abs=1e-9)
    wide = found.methods["t"].high - found.methods["t"].low
    a, b = found.methods["bootstrap"], swapped.methods["bootstrap"]
    assert (-b.high, -b.low) == pytest.approx((a.low, a.high), abs=0.1 * wide)


@settings(max_examples=15, deadline=None)
@given(gains)
def test_order_does_not_matter(values: list[float]) -> None:
    assert measured(values) == measured(values[::-1])


@settings(max_examples=15, deadline=None)
@given(gains)
def test_more_confidence_is_never_narrower(values: list[float]) -> None:
    narrow, wide = measured(values, 0.8), measured(values, 0.99)
    for method, inner in narrow.methods.items():
        assert wide.methods[method].low <= inner.low
        assert inner.high <= wide.methods[method].high


def test_t_against_scipy() -> None:
    values = np.random.default_rng(0).normal(size=12)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = measured(list(values)).methods["t"]
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_bootstrap_against_scipy() -> None:
    values = np.random.default_rng(0).normal(size=40)
    # The level of Hesterberg's expansion for n = 40: z = 2.0227 x sqrt(40 / 39).
    level = 1 - 2 * stats.norm.cdf(-2.0227 * math.sqrt(40 / 39))
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=50_000, confidence_level=level, method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval  # fmt: skip
    found = measured(list(values)).methods["bootstrap"]
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_bootstrap_t_against_a_loop() -> None:
    random = np.random.default_rng(0)
    values = random.lognormal(size=25)
    mean, error = values.mean(), values.std(ddof=1) / 5
    ratios = []
    for _ in range(40_000):
        drawn = random.choice(values, 25)
        ratios.append((drawn.mean() - mean) / (drawn.std(ddof=1) / 5))
    low, high = np.quantile(ratios, [0.025, 0.975])
    found = measured(list(values)).methods["bootstrap_t"]
    assert found.low == pytest.approx(mean - high * error, abs=0.02)
    assert found.high == pytest.approx(mean - low * error, abs=0.1)


def without_each(values: np.ndarray) -> tuple[float, float]:
    """Student's and Hall's bounds of each remainder; Hall's transform is inverted by search."""
    lows, highs = [], []
    for out in range(len(values)):
        rest = np.delete(values, out)
        size, mean, error = len(rest), rest.mean(), stats.sem(rest)
        skew = stats.skew(rest, bias=False) / math.sqrt(size)
        t = stats.t.isf(0.025, size - 1)
        grid = np.linspace(-40, 40, 80_001)
        hall = grid + skew * grid**2 / 3 + skew**2 * grid**3 / 27 + skew / 6
        upper, lower = np.interp(t, hall, grid), np.interp(-t, hall, grid)
        lows += [mean - t * error, mean - upper * error]
        highs += [mean + t * error, mean - lower * error]
    return min(lows), max(highs)


@pytest.mark.parametrize("seed", range(4))
def test_leave_one_out_against_leaving_out(seed: int) -> None:
    values = np.random.default_rng(seed).lognormal(size=14) * (-1) ** seed
    found = measured(list(values)).methods["leave_one_out"]
    assert (found.low, found.high) == pytest.approx(without_each(values), abs=2e-3)


def test_one_cluster_never_decides() -> None:
    """A single outlier makes Student's interval wide, and its absence shows nothing."""
    values = [0.01, -0.02, 0.015, 0.0, -0.01, 0.02, -0.015, 0.005, 0.03, -0.005, 0.001, 0.9]
    found = measured(values).methods["leave_one_out"]
    assert found.low < 0
    rest = measured(values[:-1]).methods["t"]
    assert found.low <= rest.low


@pytest.mark.parametrize(
    "values",
    [
        [0.0] * 12,
        [3.269] * 8,
        [3.269 + 1e-12 * (i % 3) for i in range(20)],
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
        [0.5],
        [0.0] * 15 + [1.0],
    ],
    ids=["identical", "copies of one text", "rounding", "7 clusters", "1 cluster", "all but one"],
)  # fmt: skip
def test_no_information(values: list[float]) -> None:
    """Eight copies of one text once gave the interval [3.269, 3.269], and a promotion."""
    found = difference(values, confidence=0.95, seed=0)
    assert not found.estimate.informative
    assert found.estimate.envelope is None
    assert found.estimate.clusters == len(values)
    assert (found.p_above(-1), found.p_below(1e9)) == (1.0, 1.0)
