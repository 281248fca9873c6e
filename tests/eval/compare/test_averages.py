import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bedside_eval.compare.averages import averages, ranks
from bedside_eval.compare.pairing import Paired


def task(name, rows, clusters=None):
    """A task by every model's scores."""
    scores = np.array(rows, dtype=float)
    items = tuple(f"{name}{n:03}" for n in range(scores.shape[1]))
    none = (0,) * len(scores)
    return Paired(name, "acc", items, tuple(clusters or items), scores, 0, none, none, 0)


def half(right, count):
    return [1] * right + [0] * (count - right)


TASKS = [
    task("a", [half(4, 8), half(6, 8), half(6, 8)]),
    task("b", [half(4, 16), half(2, 16), half(8, 16)]),
    task("c", [half(4, 8), half(5, 8), half(3, 8)]),
]


def by_name(found, name):
    return {a.label: a for a in found if a.name == name}


def test_averages_by_hand():
    found = averages(TASKS, "ABC", confidence=0.95, seed=1)
    macro, items = (by_name(found, n) for n in ("macro average", "item-weighted average"))
    # A: 1/2, 1/4, 1/2; B: 3/4, 1/8, 5/8; C: 3/4, 1/2, 3/8
    assert macro["A"].value.estimate == pytest.approx(1.25 / 3)
    assert macro["B"].value.estimate == pytest.approx(1.5 / 3)
    assert macro["C"].value.estimate == pytest.approx(1.625 / 3)
    assert macro["B"].difference.estimate == pytest.approx(0.25 / 3)
    # 12, 13 and 17 right of 32
    assert items["A"].value.estimate == pytest.approx(12 / 32)
    assert items["B"].difference.estimate == pytest.approx(1 / 32)
    assert items["C"].difference.estimate == pytest.approx(5 / 32)
    assert macro["A"].difference is macro["A"].p is macro["A"].relation is None


def test_ranks_by_hand():
    # a: 3, 1.5, 1.5; b: 2, 3, 1; c: 2, 1, 3
    found = ranks(TASKS, "ABC", confidence=0.95, seed=1)
    assert [rank.rank for rank in found] == pytest.approx([7 / 3, 5.5 / 3, 5.5 / 3])
    assert all(1 <= r.interval.low < r.rank < r.interval.high <= 3 for r in found)


def test_students_interval_is_that_of_independent_tasks():
    """Standard error of a mean of means: sqrt(sum of squared ones) / tasks."""
    rng = np.random.default_rng(3)
    tasks = [task(name, rng.random((2, 40))) for name in "ab"]
    changes = [t.scores[1] - t.scores[0] for t in tasks]
    error = math.sqrt(sum(c.var(ddof=1) / len(c) for c in changes)) / 2 * math.sqrt(80 / 79)
    found = by_name(averages(tasks, "AB", confidence=0.95, seed=1), "macro average")["B"]
    interval = found.difference.methods["t"]
    assert interval.high - interval.low == pytest.approx(2 * stats.t.isf(0.025, 79) * error)
    assert found.difference.clusters == 80


def test_a_cluster_of_two_tasks_is_one():
    """The same answers once more are no more information."""
    rng = np.random.default_rng(4)
    rows, names = rng.random((2, 12)), [f"p{n}" for n in range(12)]
    once = task("a", rows, names)
    value = averages([once, task("b", rows, names)], "AB", confidence=0.95, seed=1)[1].difference
    apart = averages([once, task("b", rows)], "AB", confidence=0.95, seed=1)[1].difference
    assert (value.clusters, apart.clusters) == (12, 24)
    assert value.estimate == pytest.approx(apart.estimate)
    width, other = (e.methods["t"].high - e.methods["t"].low for e in (value, apart))
    assert width == pytest.approx(
        other * math.sqrt(2) * stats.t.isf(0.025, 11) / stats.t.isf(0.025, 23)
        * math.sqrt(23 / 24 * 12 / 11)
    )  # fmt: skip
    shared = ranks([once, task("b", rows, names)], "AB", confidence=0.95, seed=1)
    assert {rank.rank for rank in shared} == {1, 2}


def test_equal_models_share_their_rank_and_give_no_information():
    same = [half(3, 10)] * 2
    found = ranks([task("a", same), task("b", same)], "AB", confidence=0.95, seed=1)
    assert [(rank.rank, rank.interval) for rank in found] == [(1.5, None)] * 2
    change = averages([task("a", same), task("b", same)], "AB", confidence=0.95, seed=1)[1]
    assert (change.relation, change.p) == ("no information", 1)


def test_too_few_clusters_give_no_interval():
    few = [task(name, [half(3, 6), half(4, 6)]) for name in "ab"]
    assert ranks(few, "AB", confidence=0.95, seed=1)[0].interval is None


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32), st.integers(2, 4))
def test_ranks_average_to_the_middle_and_ignore_the_order_of_models(seed, models):
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, 2, (models, 9)).tolist() for _ in range(3)]
    tasks = [task(name, r) for name, r in zip("abc", rows, strict=True)]
    found = [r.rank for r in ranks(tasks, "ABCD"[:models], confidence=0.9, seed=1)]
    assert sum(found) == pytest.approx(models * (models + 1) / 2)
    turned = [task(name, r[::-1]) for name, r in zip("abc", rows, strict=True)]
    assert [r.rank for r in ranks(turned, "ABCD"[:models], confidence=0.9, seed=1)] == (
        pytest.approx(found[::-1])
    )
