"""Each rule finds what it is for, and nothing in a sound exam."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_core.kinds.exam import ChoiceItem, InstructionItem, OpenItem
from bedside_eval.authoring.rules import RULES, Line, judge

PATH = Path("house.jsonl")
NAMED = {"licence": "CC0-1.0", "source": "ward", "reviewed_by": "senior", "specialty": "surgery"}


def choice(number: int, **fields: Any) -> ChoiceItem:
    options = [f"Wert {number}{letter}" for letter in "abcd"]
    return ChoiceItem.model_validate(
        {"id": f"q{number}", "language": "de", "question": f"Welcher Wert gilt in Fall {number}?",
         "options": options, "answer": number % 4, **NAMED, **fields}
    )  # fmt: skip


def found(*items: Any, path: Path = PATH) -> dict[str, list[int]]:
    lines = [Line(path, number, item) for number, item in enumerate(items, start=1)]
    return {one.code: [number for _, number in one.places] for one in judge(lines, [])}


def test_a_sound_exam_breaks_no_rule() -> None:
    assert found(*(choice(n) for n in range(40))) == {}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"id": "q0"}, "id_again"),
        ({"question": "Welcher Wert gilt in Fall 0?"}, "equal_question"),
        ({"shots": [{"question": "Welcher Wert gilt in Fall 0?", "answer": "x"}]},
         "example_is_asked"),
        ({"question": "Gilt der Wert 9b hier?", "options": ["Wert 9a", "Wert 9b"], "answer": 1},
         "in_question"),
        ({"licence": ""}, "no_licence"),
        ({"reviewed_by": ""}, "no_reviewed_by"),
    ],
)  # fmt: skip
def test_one_item_breaks_one_rule(changed: dict[str, Any], code: str) -> None:
    items = [choice(n) for n in range(9)]
    assert found(*items, choice(9, **changed)) == {code: [10]}


def test_the_same_question_with_another_key_contradicts() -> None:
    same = choice(0).model_dump() | {"id": "again"}
    assert found(choice(0), ChoiceItem.model_validate(same)) == {"equal": [2]}
    turned = same | {"options": same["options"][::-1], "answer": 3}
    assert found(choice(0), ChoiceItem.model_validate(turned)) == {"equal": [2]}
    other = ChoiceItem.model_validate(same | {"answer": 1})
    assert found(choice(0), other) == {"contradiction": [2]}


def test_habits_that_find_the_answer() -> None:
    assert set(found(*(choice(n, answer=2) for n in range(8)))) == {"one_position"}
    assert found(*(choice(n, answer=2) for n in range(7))) == {}
    skewed = [choice(n, answer=0 if n % 4 else 1) for n in range(60)]
    assert set(found(*skewed)) == {"position"}
    long = [
        choice(n, options=[*(f"Wert {n}{x}" for x in "abc"), f"der lange Wert {n}"], answer=3)
        for n in range(30)
    ]
    assert set(found(*long)) == {"one_position", "longest"}


def test_an_instruction_with_checks_that_disagree() -> None:
    item = {
        "type": "instructions", "id": "i", "language": "de", "question": "Ohne Komma, bitte.",
        "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}], **NAMED,
    }  # fmt: skip

    def of(**fields: Any) -> dict[str, list[int]]:
        return found(InstructionItem.model_validate(item | fields))

    assert of(passes="Gut so.", fails="Gut, so.") == {}
    assert of(passes="Gut, so.") == {"check_disagrees": [1]}
    assert of(fails="Gut so.") == {"check_disagrees": [1]}
    assert of(instruction_id_list=["house:own"]) == {"check_unknown": [1]}
    assert of(kwargs=[{"wrong": 1}]) == {"check_unknown": [1]}


def test_types_are_not_mixed_and_open_questions_have_points() -> None:
    item = OpenItem.model_validate(
        {"type": "open", "id": "o", "language": "de", "question": "Warum?", "reference": "Darum.",
         **NAMED}
    )  # fmt: skip
    assert found(choice(0), item) == {"types_mixed": [2], "no_key_points": [2]}


def test_files_are_looked_at_together() -> None:
    first = Line(Path("a"), 1, choice(0))
    again = Line(Path("b"), 1, choice(0))
    assert [(one.code, one.places) for one in judge([first, again], [(Path("c"), 4)])] == [
        ("invalid", ((Path("c"), 4),)),
        ("equal", ((Path("b"), 1),)),
    ]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 3))
def test_errors_come_first_and_places_are_the_files_own(answers: list[int], add: int) -> None:
    items = [choice(n, answer=answer) for n, answer in enumerate(answers)]
    items.append(choice(0, answer=add))
    lines = [Line(PATH, number, item) for number, item in enumerate(items, start=1)]
    broken = judge(lines, [])
    severities = [one.severity for one in broken]
    assert severities == sorted(severities)
    assert {one.code for one in broken} <= RULES.keys()
    places = {place for one in broken for place in one.places}
    assert places <= {(PATH, number) for number in range(1, len(lines) + 1)}
