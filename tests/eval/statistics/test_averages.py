"""The error of a weighted average, against the formula of a stratified sample."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bedside_eval.statistics.averages import combined


def names(count: int, prefix: str) -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 30), min_size=1, max_size=4),
    weights=st.lists(st.floats(0.1, 100), min_size=4, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_variance_is_the_sum_of_squared_weights_times_variances(
    sizes: list[int], weights: list[float], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = [rng.normal(n, 1 + n, size) for n, size in enumerate(sizes)]
    given_weights = weights[: len(sizes)]
    row = combined(values, [names(s, f"{n}-") for n, s in enumerate(sizes)], given_weights)
    shares = [w / sum(given_weights) for w in given_weights]
    assert row.mean() == pytest.approx(
        sum(share * v.mean() for share, v in zip(shares, values, strict=True))
    )
    expected = sum(
        share**2 * v.var(ddof=1) / len(v) for share, v in zip(shares, values, strict=True)
    )
    count = len(row)
    found = row.var(ddof=1) / count
    # One sample of all clusters has its own n - 1, which makes it a little wider.
    assert found == pytest.approx(expected * count / (count - 1))


def test_a_cluster_of_two_sets_is_one() -> None:
    values = np.random.default_rng(1).normal(size=20)
    twice = combined([values, values], [names(20, "p")] * 2, [1, 1])
    assert len(twice) == 20
    assert twice.std() == pytest.approx(values.std() * math.sqrt(20 / 19))


def test_many_small_sets_are_covered_as_promised() -> None:
    """2,000 samples of three sets of other sizes and spreads: about 95 % hold the truth."""
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(2000):
        values = [rng.normal(0.1 * n, 0.2 + n, size) for n, size in enumerate((12, 30, 60))]
        row = combined(values, [names(len(v), str(n)) for n, v in enumerate(values)], [12, 30, 60])
        reach = stats.t.isf(0.025, len(row) - 1) * row.std(ddof=1) / math.sqrt(len(row))
        truth = (0 * 12 + 0.1 * 30 + 0.2 * 60) / 102
        hits += abs(row.mean() - truth) <= reach
    assert 0.935 <= hits / 2000 <= 0.965
