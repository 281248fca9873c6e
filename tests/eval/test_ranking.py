"""Average ranks over development parts."""

from __future__ import annotations

import pytest

from bedside_core.errors import InputError
from bedside_core.kinds.exam import ChoiceItem, ShortItem
from bedside_eval.exam import Paper
from bedside_eval.ranking import EVERY, rankable, ranked
from bedside_eval.records import ItemScore, ModelScores


def paper(**sizes: int) -> Paper:
    return Paper(
        {},
        {
            name: [
                ChoiceItem(id=f"{name}{n}", language="en", question=f"{name} {n}?",
                           options=["yes", "no"], answer=0)
                for n in range(size)
            ]
            for name, size in sizes.items()
        },
    )  # fmt: skip


def scores(of: Paper, **right: int) -> ModelScores:
    """So many of the first items are right."""
    return ModelScores(
        heldout={},
        exams={
            name: tuple(
                ItemScore(id=item.id, answers=(0,), loglikelihoods=(-1.0, -2.0),
                          choice={"acc": 0, "acc_norm": 0},
                          correct={"acc": n < right[name], "acc_norm": n < right[name]})
                for n, item in enumerate(items)
            )
            for name, items in of.exams.items()
        },
    )  # fmt: skip


def test_ranks_by_hand_and_by_group() -> None:
    asked = paper(a=10, b=20)
    models = {
        "x": scores(asked, a=5, b=4), "y": scores(asked, a=5, b=10), "z": scores(asked, a=8, b=2),
    }  # fmt: skip
    groups = {"g": {"a": "accuracy"}, "h": {"b": "accuracy"}}
    every, first, second = ranked(groups, asked, models, confidence=0.95)
    assert (every.group, every.sets) == (EVERY, ("a", "b"))
    # a: 2.5, 2.5, 1; b: 2, 1, 3
    assert [rank.rank for rank in every.ranks] == [2.25, 1.75, 2.0]
    assert every.averages == pytest.approx((9 / 30, 15 / 30, 10 / 30))
    assert [rank.rank for rank in first.ranks] == [2.5, 2.5, 1.0]
    assert [rank.label for rank in second.ranks] == ["x", "y", "z"]
    assert all(r.interval is not None and r.interval.low <= r.rank <= r.interval.high
               for r in every.ranks)  # fmt: skip


def test_equal_models_share_a_rank_without_an_interval() -> None:
    asked = paper(a=10)
    (found,) = ranked({}, asked, {n: scores(asked, a=3) for n in "xy"}, confidence=0.95)
    assert [(rank.rank, rank.interval) for rank in found.ranks] == [(1.5, None)] * 2


def test_none_of_a_part_of_a_group() -> None:
    asked = paper(a=4, b=4)
    assert set(rankable({"g": {"b": "accuracy"}}, asked).exams) == {"b"}
    assert set(rankable({}, asked).exams) == {"a", "b"}
    with pytest.raises(InputError, match="a: cannot be ranked"):
        rankable({"g": {"a": "accuracy_generated", "b": "accuracy"}}, asked)
    short = ShortItem(type="short", id="s", language="en", question="2?", answers=["2"])
    with pytest.raises(InputError, match="no exam: cannot be ranked"):
        rankable({}, Paper({}, {"short": [short]}))
