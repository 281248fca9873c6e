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
    Trial,
    best_of,
    bound_of,
    propose,
)

Landscape = Callable[[Proposal], tuple[float, float]]


def tried(
    landscape: Landscape, count: int, *, max_drift: float | None = None, seed: int = 0
) -> list[Trial]:
    trials: list[Trial] = []
    while len(trials) < count:
        family, point = proposal = propose(trials, max_drift, seed)
        gain, drift = landscape(proposal)
        trials.append(
            Trial(number=len(trials), family=family, point=point, gain=gain, drift=drift, change={})
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
    assert bound_of(trials, None) == trials[0].drift
    assert bound_of(trials, 0.1) == 0.1


def test_a_uniform_fraction_gains_more_at_equal_drift() -> None:
    trials = tried(even, len(FIRST) + BISECTIONS)
    best = best_of(trials, None)
    assert best is not None
    assert best.family == "uniform"
    # As much drift as A.4 (half a weight in each of eleven parts would be the same sum of weights).
    assert best.drift == pytest.approx(trials[0].drift, rel=0.02)
    assert best.gain > trials[0].gain * 1.1


def test_mutations_find_what_is_not_uniform() -> None:
    grid, more = (best_of(tried(lopsided, n), None) for n in (len(FIRST) + BISECTIONS, 80))
    assert grid is not None
    assert more is not None
    assert more.family == "schedule"
    assert more.gain > grid.gain * 1.15


def test_nothing_within_the_bound() -> None:
    trials = tried(even, 14, max_drift=1e-9)
    assert best_of(trials, 1e-9) is None


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.integers(0, 5))
def test_a_search_that_went_on_is_the_search_that_did_not_stop(cut: int, seed: int) -> None:
    whole = tried(even, 31, seed=seed)
    assert propose(whole[:cut], None, seed) == Proposal(whole[cut].family, whole[cut].point)
    for trial in whole:
        low, high, _ = FAMILIES[trial.family]
        assert all(a <= x <= b for a, x, b in zip(low, trial.point, high, strict=True))
