"""At equal length, a win that is length alone is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_eval.judging.length import controlled, excess, slope


def clusters(count: int) -> list[str]:
    return [f"c{n:03d}" for n in range(count)]


def test_a_win_by_length_vanishes() -> None:
    longer = [int(n) for n in np.random.default_rng(1).normal(60, 60, 200)]
    scores = [float(words > 0) for words in longer]
    found = controlled(scores, longer, clusters(200), confidence=0.95, seed=1).estimate
    assert np.mean(scores) > 0.8 and found.estimate < 0.6
    assert found.envelope is not None and found.envelope.low < 0.5
    assert slope(scores, longer, clusters(200)) > 0.3


def test_the_intercept_is_that_of_least_squares() -> None:
    random = np.random.default_rng(2)
    longer, scores = [int(n) for n in random.normal(0, 30, 50)], list(random.random(50))
    by_numpy = np.polyfit(excess(longer), scores, 1)
    found = controlled(scores, longer, clusters(50), confidence=0.95, seed=1).estimate
    assert found.estimate == pytest.approx(by_numpy[1])
    assert slope(scores, longer, clusters(50)) == pytest.approx(by_numpy[0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(-5, 5))
def test_equal_differences_leave_the_mean(scores: list[float], words: int) -> None:
    found = controlled(
        scores, [words] * len(scores), clusters(len(scores)), confidence=0.95, seed=1
    ).estimate
    assert found.estimate == pytest.approx(np.mean(scores))


def test_each_cluster_counts_once() -> None:
    names = ["a"] * 9 + clusters(9)
    found = controlled([1.0] * 9 + [0.0] * 9, [0] * 18, names, confidence=0.95, seed=1).estimate
    assert found.estimate == pytest.approx(0.1) and found.clusters == 10


def test_one_cluster_and_all_ties_hold_no_information() -> None:
    one = controlled([0.0, 1.0], [1, 2], ["a", "a"], confidence=0.95, seed=1).estimate
    ties = controlled([0.5] * 20, list(range(20)), clusters(20), confidence=0.95, seed=1).estimate
    assert not one.informative and not ties.informative and ties.estimate == pytest.approx(0.5)
