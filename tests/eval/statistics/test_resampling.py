"""Seeds from inputs, resamples from the confidence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bedside_eval.statistics.difference import difference
from bedside_eval.statistics.estimate import standing
from bedside_eval.statistics.resampling import (
    BEYOND,
    CEILING,
    FLOOR,
    expanded,
    resamples,
    resolved,
    seed_of,
    weights,
)


def test_the_seed_follows_from_what_was_measured() -> None:
    a, b = "a" * 64, "b" * 64
    assert seed_of([a, b], "gain on letters") == seed_of([b, a], "gain on letters")
    seeds = {seed_of([a, b], "x"), seed_of([a, b], "y"), seed_of([a], "x"), seed_of([b], "x")}
    assert len(seeds) == 4
    assert max(seeds) < 1 << 48


def test_expansion_approaches_the_nominal_tail() -> None:
    tails = [expanded(0.025, size) for size in (8, 16, 100, 10_000)]
    assert tails == sorted(tails)
    assert tails[-1] == pytest.approx(0.025, abs=1e-3)
    # n = 8: t = 2.3646 stretched by sqrt(8 / 7) is a normal quantile of 2.528.
    assert tails[0] == pytest.approx(stats.norm.cdf(-2.528), abs=1e-4)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99, 0.999])
@pytest.mark.parametrize("size", [16, 40, 10_000])
def test_enough_resamples_lie_beyond_each_percentile(confidence: float, size: int) -> None:
    tail = (1 - confidence) / 2
    number = resamples(tail, size)
    assert FLOOR <= number <= CEILING
    assert number * expanded(tail, size) >= BEYOND or number == CEILING


def test_a_confidence_beyond_what_resamples_show_is_refused() -> None:
    """1,000 resamples once gave a "99.9999 % interval"."""
    with pytest.raises(ValueError, match="more than resamples can show"):
        difference(list(range(8)), confidence=0.999999, seed=0)


def test_p_values_reach_as_far_as_the_resamples() -> None:
    for family in (1, 5):
        tail, number = resolved(0.95, family, 40)
        assert tail <= 0.01251 / family
        assert number * expanded(tail, 40) >= BEYOND


@pytest.mark.parametrize(("size", "number"), [(8, 100), (3000, 500)])
def test_each_resample_shares_one_whole_and_each_value_its_part(size: int, number: int) -> None:
    blocks = list(weights(size, number, seed=1))
    found = np.concatenate(blocks)
    assert found.shape == (number, size)
    assert (len(blocks) > 1) == (size > 1000)
    assert found.sum(axis=1) == pytest.approx(np.ones(number))
    assert found.mean() == pytest.approx(1 / size)
    # Multinomial: the variance of a share is (1 - 1 / n) / n^2.
    assert found.var() * size**2 == pytest.approx(1 - 1 / size, rel=0.1)


def test_border_cases_hardly_depend_on_the_seed() -> None:
    """Of 60 borderline data sets 9 changed their verdict with the seed of 1,000 resamples."""
    changed = 0
    for case in range(60):
        values = np.random.default_rng(case).normal(size=16)
        values -= values.mean() - 2.2 * values.std(ddof=1) / math.sqrt(16)
        found = {
            standing(difference(values, confidence=0.95, seed=seed).estimate, 0).relation
            for seed in range(4)
        }
        changed += len(found) > 1
    assert changed <= 2
