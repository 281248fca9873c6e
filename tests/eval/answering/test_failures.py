"""Failures that a program can see: planted ones are seen, and good texts are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedside_core.kinds.exam import DocumentItem, OpenItem, read_exam
from bedside_eval.answering.failures import is_mixed, is_repetition, leaks
from bedside_eval.answering.fidelity import unsupported, values_of

EXAMS = Path(__file__).parents[3] / "exams"
REFERENCES = [
    (item.reference, item.language)
    for name in ("open_de", "open_fr")
    for item in read_exam(EXAMS / f"{name}.jsonl")
    if isinstance(item, OpenItem)
]
LETTERS = [i for i in read_exam(EXAMS / "documents_de.jsonl") if isinstance(i, DocumentItem)]
ENGLISH = "The patient should be referred to a cardiologist as soon as it is possible."
GERMAN = "Der Patient sollte so bald wie möglich einem Kardiologen vorgestellt werden."


def test_good_answers_are_left_alone() -> None:
    for text, language in REFERENCES:
        assert not is_repetition(text) and not is_mixed(text, language) and not leaks(text)


def test_a_sentence_in_another_language() -> None:
    for text, language in REFERENCES[::9]:
        assert is_mixed(f"{text} {ENGLISH}", language)
        assert is_mixed(f"{GERMAN} {text}", "fr")
    assert not is_mixed("Metoprolol 47,5 mg 1-0-0, ASS 100 mg 1-0-0, Ramipril 5 mg 1-0-1", "de")
    assert not is_mixed("Status post appendectomiam, ulcus cruris, angina pectoris", "de")
    assert not is_mixed(ENGLISH, "nl")  # nothing is said of languages that are not known here


@pytest.mark.parametrize(
    "text",
    [
        "Der Patient hat Fieber. " * 8,
        "Das ist eine kleine Kommune, " * 3 + "die die P-Welle im EKG " * 4,
        "ja " * 9,
        "Es liegt ein Infarkt vor. Die EKG-Konkel-Kaufhaus mit der" + " EKG-Konkel mit der" * 5,
    ],
)
def test_loops(text: str) -> None:
    assert is_repetition(text)


@pytest.mark.parametrize(
    "text", ["<|im_start|>user", "Gut.<|im_end|>", "[INST] Hallo", "### Response:\nGut", "</think>"]
)
def test_signs_of_a_template(text: str) -> None:
    assert leaks(text)


def test_the_references_of_letters_are_faithful_and_what_is_planted_is_seen() -> None:
    """Recall and false alarms by kind are in bench/results/failures.json."""
    clean = [unsupported(item.reference, item.context) for item in LETTERS]
    assert sum(found.any for found in clean) <= 2
    assert not any(found.numbers or found.units or found.sides for found in clean)
    seen = planted = 0
    for item in LETTERS:
        for good, bad in ((" mg", "0 mg"), (" mg", " g"), ("links", "rechts"), ("link", "recht")):
            if good in item.reference:
                planted += 1
                wrong = item.reference.replace(good, bad, 1)
                seen += unsupported(wrong, item.context).any
    assert planted >= 40 and seen / planted > 0.6


@pytest.mark.parametrize(
    ("number", "values"),
    [
        ("0,5", {0.5}), ("1.000", {1.0, 1000.0}), ("1.234,5", {1234.5}), ("1,234.5", {1234.5}),
        ("03.07.2999", {3, 7, 2999}), ("12", {12}),
    ],
)  # fmt: skip
def test_what_a_number_may_mean(number: str, values: set[float]) -> None:
    assert set(values_of(number)) == values


@pytest.mark.parametrize(
    "text", ["", "\0" * 9999, "a" * 99_999, "1 " * 50_000, "‮ abc", "wort " * 20_000]
)
def test_odd_answers_take_no_long_time(text: str) -> None:
    assert not is_mixed(text, "de") and not leaks(text)
    assert is_repetition(text) is (len(text.split()) > 9)
    assert unsupported(text, LETTERS[0].context).sides == 0
