"""Averages of groups."""

from __future__ import annotations

import pytest

from bedside_eval.averaged import gains, not_taken, own
from bedside_eval.measured import Grouping, Measured
from bedside_eval.records import ItemScore, ModelScores


def scores(**right: list[int]) -> ModelScores:
    return ModelScores(
        heldout={},
        exams={
            name: tuple(
                ItemScore(
                    id=f"{name}{n}", answers=(0,), loglikelihoods=(-1.0, -2.0),
                    choice={"acc": 1 - r, "acc_norm": 1 - r},
                    correct={"acc": bool(r), "acc_norm": bool(r)},
                )
                for n, r in enumerate(values)
            )
            for name, values in right.items()
        },
    )  # fmt: skip


def grouping(*clusters: int, excluded: tuple[int, ...] = ()) -> Grouping:
    return Grouping(clusters, frozenset(excluded), "digest")


def measured(excluded: tuple[int, ...] = ()) -> Measured:
    base = scores(a=[0, 0, 1, 1], b=[0] * 6 + [1] * 6)
    better = scores(a=[1, 1, 1, 1], b=[0] * 6 + [1] * 3 + [0] * 3)
    groups = {"a": grouping(0, 1, 2, 3, excluded=excluded), "b": grouping(*range(12))}
    return Measured({"base": base, "candidate": better}, {}, groups, confidence=0.95)


GROUPS = {"g": {"a": "accuracy", "b": "accuracy"}}


def test_by_questions_and_by_sets() -> None:
    found = gains(GROUPS, measured(), "base", "candidate")["g"]
    assert found.questions == 16
    assert found.by_sets.estimate == pytest.approx((0.5 - 0.25) / 2)
    assert found.by_questions.estimate == pytest.approx((2 - 3) / 16)
    envelopes = [e.envelope for e in (found.by_sets, found.by_questions)]
    # Each has its own error, not the other's.
    widths = [e.high - e.low for e in envelopes if e is not None]
    assert len(widths) == 2
    assert widths[0] != pytest.approx(widths[1], rel=1e-3)
    mine = own(GROUPS, measured(), "candidate")["g"]
    assert mine.by_questions.estimate == pytest.approx(7 / 16)


def test_clusters_that_a_corpus_holds_count_in_neither_weight_nor_mean() -> None:
    found = gains(GROUPS, measured(excluded=(0, 1)), "base", "candidate")["g"]
    assert found.questions == 14
    assert found.by_sets.estimate == pytest.approx(-0.25 / 2)


def test_a_group_with_a_set_that_was_not_measured_has_no_average() -> None:
    groups = GROUPS | {"h": {"a": "accuracy", "c": "accuracy"}, "i": {"a": "accuracy_generated"}}
    assert not_taken(groups, measured()) == {"h": ("c",), "i": ("a",)}
    assert set(gains(groups, measured(), "base", "candidate")) == {"g"}
    everything = measured(excluded=(0, 1, 2, 3))
    assert not_taken(GROUPS, everything) == {"g": ("a",)}


def test_equal_models_give_no_information() -> None:
    same = scores(a=[0, 1] * 6, b=[0, 1] * 6)
    groups = {name: grouping(*range(12)) for name in "ab"}
    found = Measured({"base": same, "candidate": same}, {}, groups, confidence=0.95)
    for average in gains(GROUPS, found, "base", "candidate").values():
        assert not average.by_questions.informative
        assert not average.by_sets.informative
