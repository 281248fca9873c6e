"""Every option stands once at every position, and only who is right everywhere is consistent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.kinds.exam import ChoiceItem
from bedside_eval.answering.answers import Answer
from bedside_eval.answering.asking import questions_of
from bedside_eval.answering.rotations import by_item, rotated
from bedside_eval.answering.scoring import score


def item(count: int, answer: Any, number: int = 0, **fields: Any) -> ChoiceItem:
    return ChoiceItem.model_validate(
        {"id": f"q{number}", "language": "de", "question": f"Was ist {number}?",
         "options": [f"Wert {n}" for n in range(count)], "answer": answer, **fields}
    )  # fmt: skip


@given(st.integers(2, 10), st.data())
def test_each_option_stands_once_at_each_position(count: int, data: Any) -> None:
    answer = data.draw(st.integers(0, count - 1))
    abstain = data.draw(st.none() | st.integers(0, count - 1))
    one = item(count, answer, abstain=abstain)
    every = [one, *rotated([one])]
    for place in range(count):
        assert {each.options[place] for each in every} == set(one.options)  # type: ignore[union-attr]
    for each in every:
        assert isinstance(each, ChoiceItem) and each.key == one.key
        assert each.identity == one.identity
        if abstain is not None:
            assert each.options[each.abstain] == one.options[abstain]  # type: ignore[index]
    assert len({each.id for each in every}) == count


def test_several_right_options_move_together() -> None:
    one = item(4, [0, 2])
    assert {frozenset(each.key or ()) for each in rotated([one])} == {one.key}


@given(st.lists(st.tuples(st.integers(2, 5), st.lists(st.booleans(), min_size=4, max_size=4)),
                max_size=6))  # fmt: skip
def test_an_item_is_consistent_if_all_its_rotations_are_right(rows: list[Any]) -> None:
    items = [item(count, 0, number) for number, (count, _) in enumerate(rows)]
    right = [float(one) for count, said in rows for one in said[: count - 1]]
    assert by_item(items, right) == [all(said[: count - 1]) for count, said in rows]


def answers(items: list[Any], letter: Any) -> tuple[Answer, ...]:
    return tuple(Answer(id=each.id, text=letter(each), finish="stop") for each in items)


@pytest.mark.parametrize(
    ("letter", "consistent"),
    [(lambda each: "ABC"[each.answers[0]], 1.0), (lambda each: "A", 0.0)],
)
def test_who_likes_a_letter_is_not_consistent(letter: Any, consistent: float) -> None:
    items: list[Any] = [item(3, 0, number) for number in range(4)]
    asked = questions_of({"exam": items}, rotations=True)
    assert [(each.mode, len(each.items)) for each in asked] == [
        ("generated", 4), ("constrained", 4), ("rotated", 8),
    ]  # fmt: skip
    values, counts = score(
        {"exam": items},
        {(each.exam, each.mode): answers(list(each.items), letter) for each in asked},
    )
    assert values["exam"]["accuracy_constrained"] == (1.0,) * 4
    assert values["exam"]["consistent_accuracy"] == (consistent,) * 4
    assert counts["exam"]["rotated"].right == (0, 4, 4)
    assert counts["exam"]["rotated"].said == ((0, 4, 4) if consistent else (8, 0, 0))
    assert counts["exam"]["generated"].said == ()


def test_abstention_counts_both_ways_and_only_where_all_items_have_it() -> None:
    items: list[Any] = [item(3, 2, 0, abstain=2), item(3, 0, 1, abstain=2)]

    def worth(*letters: str) -> tuple[float, ...]:
        said = iter(letters)
        values, _ = score(
            {"exam": items}, {("exam", "constrained"): answers(items, lambda _: next(said))}
        )
        return values["exam"]["abstention"]

    assert worth("C", "A") == (1.0, 1.0)
    assert worth("A", "C") == (0.0, 0.0)
    assert worth("C", "B") == (1.0, 1.0), "a wrong answer is no wrong abstention"
    assert worth("", "A") == (0.0, 1.0)
    items[1] = item(3, 0, 1)
    values, _ = score({"exam": items}, {("exam", "constrained"): answers(items, lambda _: "A")})
    assert "abstention" not in values["exam"]
