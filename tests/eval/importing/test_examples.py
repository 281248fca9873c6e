"""Examples before a question."""

from __future__ import annotations

import pytest

from bedside_core.errors import InputError
from bedside_core.kinds.exam import ChoiceItem, ShortItem
from bedside_eval.importing.examples import with_examples


def choice(name: str, question: str, specialty: str = "", answer: object = 0) -> ChoiceItem:
    return ChoiceItem.model_validate(
        {"id": name, "language": "en", "question": question, "options": ["yes", "no"],
         "answer": answer, "specialty": specialty}
    )  # fmt: skip


def test_the_first_of_the_pool_of_an_items_own_specialty() -> None:
    items = [choice("a", "Asked?", "x"), choice("b", "Asked, too?", "y")]
    pool = [choice(f"p{n}", f"Example {n}?", "xy"[n % 2]) for n in range(4)]
    shown = with_examples(items, pool, 1, by_specialty=True).items
    assert [item.shots[0].question for item in shown] == ["Example 0?", "Example 1?"]
    assert shown[0].prompt == "Question: Example 0?\nAnswer: yes\n\nQuestion: Asked?\nAnswer:"


def test_an_example_is_no_item() -> None:
    pool = [choice("p", "asked"), choice("q", "Another?")]
    found = with_examples([choice("a", "Asked?")], pool, 1)
    assert (found.items[0].shots[0].question, found.unused) == ("Another?", 1)


def test_several_right_options_are_no_example() -> None:
    pool = [choice("p", "Which?", answer=[0, 1]), choice("q", "Another?")]
    assert with_examples([choice("a", "Asked?")], pool, 1).items[0].shots[0].answer == "yes"
    with pytest.raises(InputError, match=r"1 item.* fewer than 2 example"):
        with_examples([choice("a", "Asked?")], pool, 2)


def test_a_number_is_given_with_its_way_there() -> None:
    item, other = (
        ShortItem(type="short", id=name, language="en", question=f"{name} and 2?", answers=["4"])
        for name in "ab"
    )
    (shown,) = with_examples([item], [other], 1, worked={"b": "2+2=4\n#### 4"}).items
    assert shown.shots[0].answer == "2+2=4\n#### 4"
