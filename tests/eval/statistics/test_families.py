"""Holm against the textbook's steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_eval.statistics.families import holm


def test_a_worked_example() -> None:
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert list(found) == ["a", "b", "c", "d"]
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.001, 0.2))
def test_it_claims_what_the_steps_claim(p_values: list[float], alpha: float) -> None:
    """Step down: the smallest against alpha / k, the next against alpha / (k - 1), and so on."""
    ordered = sorted(p_values)
    claimed = 0
    while claimed < len(ordered) and (len(ordered) - claimed) * ordered[claimed] <= alpha:
        claimed += 1
    found = holm(dict(enumerate(p_values)))
    assert sum(p <= alpha for p in found.values()) == claimed


def test_a_false_claim_is_as_rare_as_one_alone() -> None:
    random = np.random.default_rng(0)
    wrong = sum(min(holm(dict(enumerate(random.random(10)))).values()) <= 0.05 for _ in range(2000))
    assert wrong / 2000 == pytest.approx(0.05, abs=0.015)
