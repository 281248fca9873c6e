"""Where estimates stand to margins, and p-values that agree with intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_eval.statistics.difference import difference
from bedside_eval.statistics.estimate import Estimate, Interval, standing


def estimate(**methods: tuple[float, float]) -> Estimate:
    intervals = {m: Interval(estimate=1, low=low, high=high) for m, (low, high) in methods.items()}
    return Estimate.model_validate(
        {"estimate": 1, "clusters": 16, "confidence": 0.95, "methods": intervals}
    )


@pytest.mark.parametrize(
    ("t", "bootstrap", "relation", "above"),
    [
        ((0.1, 2), (0.2, 3), "above", ("t", "bootstrap")),
        ((-2, -0.1), (-3, -0.2), "below", ()),
        ((-1, 2), (-1, 2), "undecided", ()),
        ((0.1, 2), (-0.1, 2), "depends on the method", ("t",)),
        ((-1, -0.1), (-1, 2), "depends on the method", ()),
        ((0.0, 2), (0.0, 2), "undecided", ()),
    ],
)
def test_a_condition_holds_only_by_every_method(
    t: tuple[float, float], bootstrap: tuple[float, float], relation: str, above: tuple[str, ...]
) -> None:
    found = standing(estimate(t=t, bootstrap=bootstrap), 0)
    assert (found.relation, found.above) == (relation, above)
    assert sorted(found.above + found.below + found.undecided) == ["bootstrap", "t"]


def test_without_methods_there_is_no_information() -> None:
    assert standing(estimate(), -9).relation == "no information"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(-1, 1), st.sampled_from([0.9, 0.95, 0.99]))
def test_p_values_agree_with_the_intervals(seed: int, margin: float, confidence: float) -> None:
    values = np.random.default_rng(seed).normal(size=20)
    found = difference(values, confidence=confidence, seed=1)
    relation = standing(found.estimate, margin).relation
    alpha = (1 - confidence) / 2
    assert (found.p_above(margin) <= alpha) == (relation == "above")
    assert (found.p_below(margin) <= alpha) == (relation == "below")


def test_p_is_that_of_the_most_doubtful_method() -> None:
    values = np.random.default_rng(2).normal(0.6, 1, size=20)
    found = difference(values, confidence=0.95, seed=1)
    p = found.p_above(0)
    assert 0 < p < 0.5
    just, over = (difference(values, confidence=1 - 2 * p * f, seed=1) for f in (1.05, 0.95))
    assert standing(just.estimate, 0).relation == "above"
    assert standing(over.estimate, 0).relation == "depends on the method"
