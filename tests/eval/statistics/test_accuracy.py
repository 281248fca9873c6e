"""Accuracies with few items, no discordant items, and items that belong together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bedside_eval.statistics.accuracy import accuracy, accuracy_difference, mcnemar
from bedside_eval.statistics.estimate import Estimate, standing
from bedside_eval.statistics.scores import Table, newcombe, tango, wilson

Z = float(stats.norm.isf(0.025))
answers = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.sampled_from("abcdefghijkl")),
    min_size=8,
    max_size=60,
)


def singles(number: int) -> list[str]:
    return [str(n) for n in range(number)]


def difference(candidate: list[bool], reference: list[bool], clusters: list[str]) -> Estimate:
    return accuracy_difference(candidate, reference, clusters, confidence=0.95, seed=1).estimate


def test_single_items_give_the_counts_intervals() -> None:
    candidate = [True] * 8 + [True] * 5 + [False] + [False] * 6
    reference = [True] * 8 + [False] * 5 + [True] + [False] * 6
    found = difference(candidate, reference, singles(20))
    table = Table(8, 5, 1, 6)
    assert found.estimate == pytest.approx(0.2)
    for method, interval in (("tango", tango), ("newcombe", newcombe)):
        bounds = found.methods[method]
        assert (bounds.low, bounds.high) == pytest.approx(interval(table, Z), abs=1e-6)


@pytest.mark.parametrize("items", [8, 20, 200])
@pytest.mark.parametrize("per_cluster", [1, 4])
def test_equal_answers_are_never_certain(items: int, per_cluster: int) -> None:
    """The first screen of README once said +0.0 (+0.0 to +0.0)."""
    same = [n % 2 == 0 for n in range(items * per_cluster)]
    clusters = [str(n // per_cluster) for n in range(len(same))]
    envelope = difference(same, same, clusters).envelope
    assert envelope and envelope.low < -0.01 < 0.01 < envelope.high


@settings(max_examples=25, deadline=None)
@given(answers)
def test_swapping_the_models_negates_the_score_intervals(
    rows: list[tuple[bool, bool, str]],
) -> None:
    candidate, reference, clusters = (list(column) for column in zip(*rows, strict=True))
    found = difference(candidate, reference, clusters)
    swapped = difference(reference, candidate, clusters)
    assert swapped.estimate == pytest.approx(-found.estimate)
    assert found.informative == (len(set(clusters)) >= 8)
    if found.informative:
        for method in ("tango", "newcombe", "t", "leave_one_out"):
            a, b = found.methods[method], swapped.methods[method]
            assert (-b.high, -b.low) == pytest.approx((a.low, a.high), abs=1e-6)
        envelope = found.envelope
        assert envelope and envelope.high - envelope.low > 0.01


def test_copies_of_items_add_nothing() -> None:
    """Each item four times in its cluster is worth what it is worth once, and not four times."""
    random = np.random.default_rng(0)
    candidate, reference = (list(random.random(40) < p) for p in (0.6, 0.5))
    once = difference(candidate, reference, singles(40))
    copies = difference(
        list(np.repeat(candidate, 4)),
        list(np.repeat(reference, 4)),
        [str(n // 4) for n in range(160)],
    )
    assert copies.estimate == pytest.approx(once.estimate)
    for method, bounds in once.methods.items():
        here = copies.methods[method]
        assert here.high - here.low >= 0.98 * (bounds.high - bounds.low), method


def test_independent_items_of_one_cluster_keep_their_worth() -> None:
    random = np.random.default_rng(1)
    candidate, reference = (list(random.random(800) < p) for p in (0.6, 0.5))
    free = difference(candidate, reference, singles(800)).methods["tango"]
    grouped = difference(candidate, reference, [str(n // 8) for n in range(800)]).methods["tango"]
    assert 0.95 < (grouped.high - grouped.low) / (free.high - free.low) < 1.4


@pytest.mark.parametrize(
    ("gained", "lost", "p"), [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (9, 1, 22 / 1024)]
)
def test_exact_mcnemar(gained: int, lost: int, p: float) -> None:
    assert mcnemar(gained, lost) == pytest.approx(p)
    assert mcnemar(lost, gained) == pytest.approx(p)


def test_accuracy_of_single_items_is_wilsons() -> None:
    found = accuracy([True] * 15 + [False] * 5, singles(20), confidence=0.95).estimate
    bounds = found.methods["wilson"]
    assert found.estimate == 0.75
    assert (bounds.low, bounds.high) == pytest.approx(wilson(0.75, 20, Z))


def test_a_model_at_chance_is_not_above_it() -> None:
    """Four options; 30 of 100 right can be luck, 40 of 100 hardly, 40 of 100 of 10 patients can."""
    clusters = singles(100)
    relations = []
    for right, names in ((30, clusters), (40, clusters), (40, [str(n // 10) for n in range(100)])):
        correct = [n < right for n in range(100)]
        found = accuracy(correct, names, confidence=0.95)
        relations.append(standing(found.estimate, 0.25).relation)
    assert relations == ["undecided", "above", "undecided"]


def test_too_few_clusters_are_no_information() -> None:
    correct = [True, False] * 20
    clusters = [str(n // 8) for n in range(40)]
    assert not accuracy(correct, clusters, confidence=0.95).estimate.informative
    assert not difference(correct, correct, clusters).informative
