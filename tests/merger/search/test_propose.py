"""The proposals on landscapes that are known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_merger.search.families import DEFINEMED, FAMILIES
from bedside_merger.search.propose import (
    BISECTIONS,
    FIRST,
    Proposal,
    Rule,
    Trial,
    best_of,
    propose,
)

Landscape = Callable[[Proposal], tuple[float, float]]
AS_MUCH = Rule()
"""Drift as A.4 has it."""


def tried(landscape: Landscape, count: int, *, rule: Rule = AS_MUCH, seed: int = 0) -> list[Trial]:
    trials: list[Trial] = []
    while len(trials) < count:
        family, point = proposal = propose(trials, rule, seed)
        gain, drift = landscape(proposal)
        trials.append(
            Trial(
                number=len(trials),
                family=family,
                point=point,
                gain=gain,
                drift=drift,
                change={"news": -gain},
            )
        )
    return trials


def as_schedule(proposal: Proposal) -> tuple[float, ...]:
    family, point = proposal
    if family == "schedule":
        return point
    weight = point[0] if family == "uniform" else point[0] * point[1]
    return (weight,) * len(DEFINEMED)


def even(proposal: Proposal) -> tuple[float, float]:
    """Each part gains by its weight and drifts by its square: equal weights are best."""
    point = as_schedule(proposal)
    return sum(point), sum(value**2 for value in point) ** 0.5


def lopsided(proposal: Proposal) -> tuple[float, float]:
    """Attention alone gains."""
    point = as_schedule(proposal)
    return sum(point[:5]), sum(value**2 for value in point) ** 0.5


def test_the_first_is_definemed_and_sets_the_bound() -> None:
    trials = tried(even, 1)
    assert (trials[0].family, trials[0].point) == ("schedule", DEFINEMED)
    assert AS_MUCH.limit_of(trials) == trials[0].drift
    assert Rule("drift", 0.1).limit_of(trials) == 0.1


def test_a_uniform_fraction_gains_more_at_equal_drift() -> None:
    trials = tried(even, len(FIRST) + BISECTIONS)
    best = best_of(trials, AS_MUCH)
    assert best is not None
    assert best.family == "uniform"
    # As much drift as A.4 (half a weight in each of eleven parts would be the same sum of weights).
    assert best.drift == pytest.approx(trials[0].drift, rel=0.02)
    assert best.gain > trials[0].gain * 1.1


def test_mutations_find_what_is_not_uniform() -> None:
    grid, more = (best_of(tried(lopsided, n), AS_MUCH) for n in (len(FIRST) + BISECTIONS, 80))
    assert grid is not None
    assert more is not None
    assert more.family == "schedule"
    assert more.gain > grid.gain * 1.15


def test_nothing_within_the_bound() -> None:
    rule = Rule("drift", 1e-9)
    assert best_of(tried(even, 14, rule=rule), rule) is None


def test_where_nothing_is_lost_all_of_the_training_is_kept() -> None:
    """As in the demo, where general texts gain, too: by `loss`, A.4 is no better than the whole."""
    rule = Rule("loss")
    trials = tried(even, 8, rule=rule)
    best = best_of(trials, rule)
    assert best is not None
    assert (best.family, best.point) == ("uniform", (1.0,))
    assert trials[-1].family == "schedule"  # no fraction is beyond the bound: nothing to bisect


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.integers(0, 5))
def test_a_search_that_went_on_is_the_search_that_did_not_stop(cut: int, seed: int) -> None:
    whole = tried(even, 31, seed=seed)
    assert propose(whole[:cut], AS_MUCH, seed) == Proposal(whole[cut].family, whole[cut].point)
    for trial in whole:
        low, high, _ = FAMILIES[trial.family]
        assert all(a <= x <= b for a, x, b in zip(low, trial.point, high, strict=True))
