"""What each type of item asks, is known by, and must agree on with its like."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.kinds.exam import (
    ChoiceItem,
    DocumentItem,
    InstructionItem,
    OpenItem,
    ShortItem,
)
from bedside_core.kinds.exam.items import TYPES

CHOICE: dict[str, Any] = {
    "id": "q", "language": "de", "question": "Welche Klappe?",
    "options": ["Mitral", "Aorten", "Pulmonal", "Trikuspidal", "keine"], "answer": 0,
}  # fmt: skip
LONG = "Ein Patient kommt mit Fieber und Husten seit drei Tagen in die Notaufnahme des Hauses"


@pytest.mark.parametrize(
    ("language", "prompt", "last"),
    [
        ("de", "Frage: Welche Klappe?\nAntwort:", "Antworte nur mit dem Buchstaben"),
        ("fr-CH", "Question : Welche Klappe?\nRéponse :", "Répondez uniquement par la lettre"),
        ("en", "Question: Welche Klappe?\nAnswer:", "Answer with the letter"),
        ("nl", "Question: Welche Klappe?\nAnswer:", "Answer with the letter"),
    ],
)
def test_a_question_is_put_in_its_language(language: str, prompt: str, last: str) -> None:
    item = ChoiceItem(**CHOICE | {"language": language})
    assert item.prompt == prompt
    assert item.asked.startswith("Welche Klappe?\nA) Mitral\n") and "\nE) keine\n" in item.asked
    assert item.asked.rpartition("\n\n")[2].startswith(last)


def test_examples_context_and_template_stand_before_the_question() -> None:
    shots = [{"question": "Wo?", "options": ["hier", "dort"], "answer": "dort"}]
    item = ChoiceItem(
        **CHOICE | {"context": "Brief.", "shots": shots, "template": "F {question} A"}
    )
    assert item.prompt == "F Wo? A dort\n\nBrief.\n\nF Welche Klappe? A"
    assert item.asked.startswith("Wo?\nA) hier\nB) dort\nAntwort: B\n\nBrief.\n\nWelche Klappe?")


def test_several_right_options_are_asked_for() -> None:
    item = ChoiceItem(**CHOICE | {"answer": [3, 1]})
    assert item.answers == (1, 3) and item.several
    assert "alle" in item.asked.rpartition("\n\n")[2]
    assert item.contradicts(ChoiceItem(**CHOICE | {"answer": [1]}))
    assert not item.contradicts(ChoiceItem(**CHOICE | {"answer": [1, 3]}))


def test_a_short_answer_is_its_key() -> None:
    given_ = {"type": "short", "id": "s", "language": "de", "question": "Wie viele?"}
    item = ShortItem(**given_, answers=["42"], shots=[{"question": "Und?", "answer": "7"}])
    assert item.asked == "Und?\nAntwort: 7\n\nWie viele?"
    assert item.contradicts(ShortItem(**given_, answers=["43"]))
    assert item.wordings == ["Wie viele?\n42"]


def test_an_open_question_of_few_words_stands_in_a_corpus_with_its_answer_alone() -> None:
    of = {"type": "open", "id": "o", "language": "de", "reference": "Ruhe."}
    assert OpenItem(**of, question="Was tun?").wordings == ["Was tun?\nRuhe."]
    assert OpenItem(**of, question=LONG).wordings == [f"{LONG}\nRuhe.", LONG]
    other = OpenItem(**of | {"reference": "Bewegung."}, question="Was tun?")
    assert not OpenItem(**of, question="Was tun?").contradicts(other)


def test_two_tasks_on_a_letter_are_copies_by_the_letter() -> None:
    of = {"type": "document", "language": "de", "context": LONG, "reference": "x", "task": "codes"}
    one, two = (DocumentItem(**of, id=q, question=q) for q in ("Kodiere.", "Fasse zusammen."))
    assert one.identity != two.identity
    assert one.wordings[1:] == two.wordings[1:] == [LONG]
    assert one.asked == f"Kodiere.\n\n{LONG}"


def test_an_instruction_has_arguments_for_each_check() -> None:
    of = {"type": "instructions", "id": "i", "language": "de", "question": "Liste?"}
    with pytest.raises(ValueError, match="one mapping for each"):
        InstructionItem(**of, instruction_id_list=["a:b", "c:d"], kwargs=[{}])
    assert InstructionItem(**of, instruction_id_list=["a:b"], kwargs=[{}]).wordings == ["Liste?"]


@given(
    options=st.lists(st.text("abc d", min_size=1).filter(str.strip), min_size=2, max_size=10),
    data=st.data(),
)
def test_the_order_of_options_is_free_and_the_key_is_not(
    options: list[str], data: st.DataObject
) -> None:
    options = list(dict.fromkeys(option.strip() for option in options))
    if len(options) < 2:
        return
    answer = data.draw(st.integers(0, len(options) - 1))
    order = data.draw(st.permutations(range(len(options))))
    item = ChoiceItem(**CHOICE | {"options": options, "answer": answer})
    moved = ChoiceItem(
        **CHOICE
        | {"options": [options[n] for n in order], "answer": order.index(answer), "id": "other"}
    )
    assert item.identity == moved.identity and not item.contradicts(moved)
    wrong = moved.model_copy(update={"answer": (moved.answers[0] + 1) % len(options)})
    assert item.contradicts(wrong)


def test_every_type_is_named_as_its_class_says() -> None:
    for name, kind in TYPES.items():
        assert kind.model_fields["type"].annotation.__args__ == (name,)
