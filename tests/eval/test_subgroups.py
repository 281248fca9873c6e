"""Groups of an exam's items: the mean hides none, and none is counted that cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_core.kinds.exam import ChoiceItem, OpenItem
from bedside_core.kinds.policy import Policy
from bedside_eval.measured import Grouping, Measured
from bedside_eval.records import ItemScore, ModelScores
from bedside_eval.subgroups import subgroups

COUNT = 60


def policy(*guards: dict[str, Any]) -> Policy:
    return Policy.model_validate(
        {
            "name": "house",
            "target": {"of": "texts", "min_gain": 0.0, "max_loss": 0.02},
            "guards": list(guards) or [{"of": "more", "max_loss": 0.1}],
            "tail": {"delta": 0.1, "max_share": 0.2},
            "min_clusters": 14,
            "confidence": 0.95,
        }
    )


def choice(number: int, **fields: Any) -> ChoiceItem:
    return ChoiceItem.model_validate(
        {"id": f"q{number}", "language": "de", "question": f"Frage {number}?",
         "options": ["a", "b"], "answer": 0, **fields}
    )  # fmt: skip


def sat(right: Sequence[bool]) -> ModelScores:
    return ModelScores(
        heldout={},
        exams={
            "exam": tuple(
                ItemScore(
                    id=f"q{n}", answers=(0,), loglikelihoods=(-1.0, -2.0),
                    choice={"acc": int(not good), "acc_norm": int(not good)},
                    correct={"acc": good, "acc_norm": good},
                )
                for n, good in enumerate(right)
            )
        },
    )  # fmt: skip


def measured(base: Sequence[bool], candidate: Sequence[bool], excluded: Any = ()) -> Measured:
    whole = Grouping(tuple(range(len(base))), frozenset(excluded), "a" * 64)
    scores = {"base": sat(base), "candidate": sat(candidate)}
    return Measured(scores, {}, {"exam": whole}, confidence=0.95)  # type: ignore[arg-type]


SPECIALTIES = [("cardiology", "surgery", "")[n % 3] for n in range(COUNT)]
ITEMS = [choice(n, specialty=name) for n, name in enumerate(SPECIALTIES)]


def test_a_group_that_loses_is_named_first_though_the_mean_gains() -> None:
    base = [name == "surgery" for name in SPECIALTIES]
    candidate = [name != "surgery" for name in SPECIALTIES]
    found = subgroups(measured(base, candidate), {"exam": ITEMS}, policy())
    assert [(g.by, g.name, g.measure) for g in found] == [
        ("specialty", "surgery", "accuracy"), ("specialty", "cardiology", "accuracy"),
    ]  # fmt: skip
    worst, best = found
    assert worst.gain.estimate == pytest.approx(-1) and worst.items == 20
    assert worst.p_worse is not None and worst.p_worse < 0.025
    assert best.p_worse is not None and best.p_worse > 0.5


def test_what_stands_in_a_corpus_counts_in_no_group() -> None:
    right = [True] * COUNT
    found = subgroups(
        measured(right, right, excluded=range(0, COUNT, 3)), {"exam": ITEMS}, policy()
    )
    assert [(group.name, group.items) for group in found] == [("surgery", 20)]


def test_a_small_group_has_no_p_value_and_no_interval() -> None:
    items = [choice(n, language="fr" if n < 3 else "de") for n in range(COUNT)]
    base = [n % 2 == 0 for n in range(COUNT)]
    candidate = [n % 3 == 0 for n in range(COUNT)]
    found = {g.name: g for g in subgroups(measured(base, candidate), {"exam": items}, policy())}
    assert found["fr"].items == 3 and found["fr"].p_worse is None
    assert found["fr"].gain.envelope is None
    assert found["de"].p_worse is not None


def test_one_value_is_no_group() -> None:
    items = [choice(n) for n in range(COUNT)]
    right = [n % 2 == 0 for n in range(COUNT)]
    assert subgroups(measured(right, right[::-1]), {"exam": items}, policy()) == ()


def test_the_policys_measures_count_before_the_headline() -> None:
    base = [n % 2 == 0 for n in range(COUNT)]
    guards = {"of": "exam", "measure": "brier", "max_loss": 0.1}
    found = subgroups(measured(base, base[::-1]), {"exam": ITEMS}, policy(guards))
    assert {group.measure for group in found} == {"brier"}


def test_answers_are_divided_as_choices_are() -> None:
    items = [
        OpenItem.model_validate(
            {"type": "open", "id": f"q{n}", "language": ("de", "fr")[n % 2], "question": f"F {n}?",
             "reference": "Ja."}
        )
        for n in range(40)
    ]  # fmt: skip

    def scores(shift: float) -> ModelScores:
        values = tuple(0.5 + shift * (1 if n % 2 else -1) + 0.001 * n for n in range(40))
        return ModelScores(heldout={}, exams={}, values={"exam": {"rouge_l": values}})

    whole = Grouping(tuple(range(40)), frozenset(), "a" * 64)
    both: Any = {"base": scores(0.0), "candidate": scores(0.1)}
    found = subgroups(
        Measured(both, {}, {"exam": whole}, confidence=0.95), {"exam": items}, policy()
    )
    assert [(g.name, round(g.gain.estimate, 6)) for g in found] == [("de", -0.1), ("fr", 0.1)]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from("abc")), min_size=9,
                max_size=40))  # fmt: skip
def test_groups_weigh_up_to_the_whole(rows: list[tuple[bool, bool, str]]) -> None:
    items = [choice(n, specialty=name) for n, (_, _, name) in enumerate(rows)]
    whole = measured([b for b, _, _ in rows], [c for _, c, _ in rows])
    found = subgroups(whole, {"exam": items}, policy())
    names = {name for _, _, name in rows}
    assert {group.name for group in found} == (names if len(names) > 1 else set())
    if found:
        total = sum(group.items * group.gain.estimate for group in found) / len(rows)
        assert total == pytest.approx(whole.gain("accuracy", "exam", "base").estimate.estimate)
        assert list(found) == sorted(found, key=lambda group: group.gain.estimate)
