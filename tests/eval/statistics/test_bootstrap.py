"""Properties of the intervals, known values, and coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_eval.statistics.bootstrap import Bootstrap, wilson
from bedside_eval.statistics.estimate import Interval

BOOTSTRAP = Bootstrap(confidence=0.95, samples=400, seed=3)
differences = st.lists(
    st.floats(min_value=-5, max_value=5).map(lambda x: round(x, 3)), min_size=8, max_size=30
)
answers = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=8, max_size=60)


def close(a: Interval, b: Interval) -> bool:
    return a.model_dump() == pytest.approx(b.model_dump(), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(differences)
def test_interval_contains_the_mean_and_stays_in_range(values: list[float]) -> None:
    found = BOOTSTRAP.mean(values)
    assert found.estimate == pytest.approx(np.mean(values))
    assert found.low <= found.estimate <= found.high
    assert min(values) - 1e-9 <= found.low
    assert found.high <= max(values) + 1e-9


@settings(max_examples=40, deadline=None)
@given(differences)
def test_swapping_the_models_negates(values: list[float]) -> None:
    assert close(BOOTSTRAP.mean([-v for v in values]), -BOOTSTRAP.mean(values))


@settings(max_examples=40, deadline=None)
@given(differences, st.floats(min_value=-3, max_value=3))
def test_a_shift_shifts_the_interval(values: list[float], shift: float) -> None:
    moved, found = BOOTSTRAP.mean([v + shift for v in values]), BOOTSTRAP.mean(values)
    assert moved.low == pytest.approx(found.low + shift, abs=1e-9)
    assert moved.high == pytest.approx(found.high + shift, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(differences)
def test_more_confidence_is_never_narrower(values: list[float]) -> None:
    narrow = Bootstrap(confidence=0.8, samples=400, seed=3).mean(values)
    wide = Bootstrap(confidence=0.99, samples=400, seed=3).mean(values)
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


def test_identical_models_differ_by_nothing() -> None:
    zero = Interval(estimate=0, low=0, high=0)
    assert BOOTSTRAP.mean([0.0] * 12) == zero
    same = BOOTSTRAP.accuracy_difference([True, False] * 6, [True, False] * 6)
    assert (same.difference, same.gained, same.lost, same.mcnemar_p) == (zero, 0, 0, 1.0)


def test_seed_decides() -> None:
    values = list(np.random.default_rng(0).normal(size=12))
    other = Bootstrap(confidence=0.95, samples=400, seed=4)
    assert BOOTSTRAP.mean(values) == BOOTSTRAP.mean(values)
    assert BOOTSTRAP.mean(values) != other.mean(values)


@settings(max_examples=30, deadline=None)
@given(answers)
def test_accuracy_difference(pairs: list[tuple[bool, bool]]) -> None:
    candidate, reference = [c for c, _ in pairs], [r for _, r in pairs]
    found = BOOTSTRAP.accuracy_difference(candidate, reference)
    swapped = BOOTSTRAP.accuracy_difference(reference, candidate)
    expected = (sum(candidate) - sum(reference)) / len(pairs)
    assert found.difference.estimate == pytest.approx(expected)
    assert (found.gained - found.lost) / len(pairs) == pytest.approx(expected)
    assert (swapped.gained, swapped.lost) == (found.lost, found.gained)
    assert swapped.mcnemar_p == pytest.approx(found.mcnemar_p)
    assert close(swapped.difference, -found.difference)


def test_unequal_lengths_are_a_bug() -> None:
    with pytest.raises(ValueError, match="zip"):
        BOOTSTRAP.accuracy_difference([True], [True, False])


def test_perplexity_weighs_by_tokens() -> None:
    found = BOOTSTRAP.perplexity([10.0, 300.0] * 6, [10, 100] * 6)
    assert found.estimate == pytest.approx(math.exp(310 / 110))
    assert math.exp(1) <= found.low < found.estimate < found.high <= math.exp(3)


def test_perplexity_of_constant_texts_has_no_spread() -> None:
    found = BOOTSTRAP.perplexity([20.0] * 8, [10] * 8)
    assert found.model_dump() == pytest.approx(
        {k: math.exp(2) for k in ("estimate", "low", "high")}
    )


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)],
)
def test_wilson_against_published_values(correct: int, total: int, low: float, high: float) -> None:
    found = wilson(correct, total, 0.95)
    assert found.estimate == correct / total
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
