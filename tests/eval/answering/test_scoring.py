"""What answers are worth, by type of item; what cannot be read is wrong and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_core.kinds.exam import (
    ChoiceItem,
    DocumentItem,
    InstructionItem,
    OpenItem,
    ShortItem,
    read_exam,
)
from bedside_core.kinds.measures import MEASURES
from bedside_eval.answering.answers import Answer
from bedside_eval.answering.instructions import check_known
from bedside_eval.answering.scoring import facts_found, is_exact, score

EXAMS = Path(__file__).parents[3] / "exams"
OF: dict[str, Any] = {"id": "q", "language": "de", "question": "Was?"}
CHOICE = ChoiceItem(**OF, options=["Ramipril", "Digoxin", "Insulin"], answer=1)
LETTER = "Kein Fieber. Herr X erhält seit langer Zeit jeden Tag und auch heute wieder " + (
    "Ramipril 5 mg. Er hat seit gestern einen Bruch links."
)


def worth(item: Any, text: str, mode: Any = "generated", finish: Any = "stop") -> dict[str, float]:
    answer = Answer(id="q", text=text, finish=finish)
    values, _ = score({"exam": [item]}, {("exam", mode): (answer,)})
    return {name: found[0] for name, found in values["exam"].items()}


def test_every_value_is_a_measure_of_its_type() -> None:
    for item in (
        CHOICE,
        ShortItem(**OF, type="short", answers=["x"]),
        OpenItem(**OF, type="open", reference="x"),
        InstructionItem(**OF, type="instructions", instruction_id_list=["punctuation:no_comma"],
                        kwargs=[{}]),
        DocumentItem(**OF, type="document", context="x", task="summarise", reference="x"),
    ):  # fmt: skip
        for mode in ("generated", "constrained") if item is CHOICE else ("generated",):
            for name in worth(item, "x", mode):
                assert item.type in MEASURES[name].of and MEASURES[name].taken == "engine"


def test_a_choice_freely_and_in_letters() -> None:
    assert worth(CHOICE, "Antwort: B")["accuracy_generated"] == 1
    assert worth(CHOICE, "Digoxin")["accuracy_generated"] == 1
    assert worth(CHOICE, "B", "constrained") == {"accuracy_constrained": 1}
    assert worth(CHOICE, "A und B")["accuracy_generated"] == 0
    several = CHOICE.model_copy(update={"answer": [0, 1]})
    assert worth(several, "A, B", "constrained") == {"accuracy_constrained": 1}
    assert worth(several, "A", "constrained") == {"accuracy_constrained": 0}


def test_what_cannot_be_read_is_wrong_and_counted() -> None:
    answers = (
        Answer(id="1", text="Antwort: B", finish="stop"),
        Answer(id="2", text="", finish="none"),
        Answer(id="3", text="  <think>B</think> ", finish="stop"),
        Answer(id="4", text="Das ist eine gute Frage, und", finish="length"),
        Answer(id="5", text="Antwort: B oder", finish="length"),
    )
    items = [CHOICE.model_copy(update={"id": answer.id}) for answer in answers]
    values, counts = score({"exam": items}, {("exam", "generated"): answers})
    found = counts["exam"]["generated"]
    assert values["exam"]["accuracy_generated"] == (1, 0, 0, 0, 1)
    assert (found.of, found.unanswered, found.empty, found.truncated, found.unreadable) == (
        5, 1, 1, 2, 1,
    )  # fmt: skip
    assert values["exam"]["failure_empty"] == (0, 1, 1, 0, 0)


@pytest.mark.parametrize(
    ("text", "answers", "right"),
    [
        ("Janet has 3 eggs.\n#### 18", ["18"], True), ("#### 1,800", ["1800"], True),
        ("Also 7 und 11, zusammen 18.", ["18"], True), ("18 und dann 19", ["18"], False),
        ("Antwort: 0,5 mg", ["0.5"], True), ("Réponse : -3", ["-3"], True),
        ("Réponse : 3", ["-3"], False), ("yes, because", ["yes"], True), ("No.", ["yes"], False),
        ("yesterday", ["yes"], False), ("", ["yes"], False), ("vier", ["4", "vier"], True),
        ("Answer: maybe", ["maybe"], True), ("keine Zahl", ["18"], False),
    ],
)  # fmt: skip
def test_short_answers(text: str, answers: list[str], right: bool) -> None:
    assert is_exact(text, answers) is right


@pytest.mark.parametrize("language", ["de", "fr"])
def test_our_own_answers_pass_and_fail_as_they_should(language: str) -> None:
    items = read_exam(EXAMS / f"instructions_{language}.jsonl")
    for which, right in (("passes", 1), ("fails", 0)):
        answers = tuple(Answer(id=i.id, text=getattr(i, which), finish="stop") for i in items)
        values, _ = score({"exam": items}, {("exam", "generated"): answers})
        assert set(values["exam"]["instructions_followed"]) == {right}


def test_a_check_that_no_program_has_is_refused() -> None:
    item = InstructionItem(**OF, type="instructions", instruction_id_list=["a:b"], kwargs=[{}])
    with pytest.raises(InputError, match=r"exam x: no program checks a:b \(item q\)"):
        check_known("x", [item])
    wrong = item.model_copy(update={"instruction_id_list": ["startend:quotation"],
                                    "kwargs": [{"x": 1}]})  # fmt: skip
    with pytest.raises(InputError, match="kwargs are not those"):
        check_known("x", [wrong])


def test_documents() -> None:
    item = DocumentItem(
        **OF, type="document", context=LETTER, task="summarise",
        reference="Ramipril 5 mg, Bruch links.", facts=["Ramipril 5 mg"],
    )  # fmt: skip
    good = worth(item, "Er erhält Ramipril 5 mg bei einem Bruch links.")
    assert good["document_fidelity"] == 1 and good["facts_found"] == 1 and 0 < good["rouge_l"] < 1
    for wrong in ("Ramipril 50 mg", "Ramipril 5 g", "Bruch rechts", "kein Bruch"):
        assert worth(item, wrong)["document_fidelity"] == 0
    assert worth(item, "")["document_fidelity"] == 0


def test_facts_of_an_extraction() -> None:
    facts = {"a_b": 8.1, "seite": "links", "fieber": False, "dosis": 5}
    item = DocumentItem(**OF, type="document", context=LETTER, task="extract",
                        reference="{}", facts=facts)  # fmt: skip
    assert facts_found(item, '{"a_b": "8,1 %", "seite": "Links", "fieber": false, "dosis": 5}') == 1
    assert facts_found(item, 'Hier: ```json\n{"a_b": 8.1, "fieber": 0}\n```') == 0.25
    assert facts_found(item, "kein JSON { {") == 0


@given(st.text(max_size=200), st.sampled_from(["generated", "constrained"]))
def test_whatever_is_written_has_values_between_0_and_1(text: str, mode: str) -> None:
    document = DocumentItem(**OF, type="document", context=LETTER, task="codes", reference="x",
                            facts=["I10"])  # fmt: skip
    for item in (CHOICE, document) if mode == "generated" else (CHOICE,):
        assert all(0 <= value <= 1 for value in worth(item, text, mode).values())
