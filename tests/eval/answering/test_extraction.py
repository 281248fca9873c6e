"""What free answers choose, in three languages; what is no choice is never read as one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.kinds.exam.wording import LETTERS
from bedside_eval.answering.extraction import chosen

OPTIONS = ["Aortenklappe", "Mitralklappe", "Pulmonalklappe", "Trikuspidalklappe", "keine davon"]
CHOSEN = {
    "C": "C", "c": "C", "C)": "C", "(C)": "C", "c.": "C", "C.": "C", "**C**": "C", " C \n": "C",
    "Antwort: C": "C", "Antwort:\n\nAntwort: C": "C", "Antwort: **C**": "C", "Antwort C": "C",
    "Antwort: c)": "C", "Die Antwort ist C.": "C", "Die richtige Antwort ist (B).": "B",
    "Die richtige Antwort lautet: B) Mitralklappe": "B", "Richtig ist D.": "D",
    "Richtig sind A, C und E": "ACE", "Richtig: A und C": "AC", "A, C, E": "ACE", "A und C": "AC",
    "A) Aortenklappe": "A", "B. Mitralklappe, weil sie links liegt.": "B",
    "Option B ist richtig.": "B", "B ist richtig, da die Klappe links liegt.": "B",
    "Antwort B ist korrekt.": "B", "Ich wähle D": "D", "Lösung: E": "E",
    "Nicht A, sondern B ist richtig.": "B", "Antwort A ist falsch. Die Antwort ist B.": "B",
    "Die Antwort ist nicht A. Die Antwort ist B.": "B",
    "A) Aortenklappe\nB) Mitralklappe\nC) Pulmonalklappe\n\nAntwort: B": "B",
    "A) Aortenklappe\nB) Mitralklappe\nC) Pulmonalklappe": None,
    "<think>Vielleicht A? Antwort: A</think>Antwort: B": "B", "<think>Antwort: A": None,
    "Antwort: A. Oder doch Antwort: B.": None, "Es ist die Mitralklappe.": "B",
    "Die Mitralklappe liegt zwischen linkem Vorhof und Kammer.": "B",
    "Mitralklappe oder Aortenklappe": None, "Die Klappe liegt links.": None,
    "La réponse est (B)": "B", "La réponse est B.": "B", "La bonne réponse est : C": "C",
    "Réponse : D": "D", "Réponses : A et C": "AC", "Les bonnes réponses sont A, C et E.": "ACE",
    "B est correcte.": "B", "Je choisis E": "E", "A et D": "AD", "Réponse: b)": "B",
    "La réponse A est fausse. La réponse est D.": "D",
    "The answer is B.": "B", "The correct answer is (C).": "C", "Answer: D": "D",
    "The final answer is \\boxed{B}": "B", "I choose C.": "C", "Correct: E": "E",
    "Options A and C are right.": "AC", "The answer is a fever": None,
    # No choice, though a letter or a word looks like one.
    "": None, "   ": None, "A priori ist das unklar.": None, "Aber das ist schwer zu sagen.": None,
    "D'abord, il faut examiner le patient.": None, "Il y a une valve à gauche.": None,
    "A fever is common.": None, "I do not know.": None, "Das weiß ich nicht.": None,
    "Vitamin C hilft.": None, "Hepatitis B": None, "Die Antwort ist einfach.": None,
    "La réponse est difficile à donner.": None, "Antwort:": None, "Antwort: J": None,
    "Antwort: Das hängt davon ab.": None, "E. coli ist ein Keim. C. difficile auch.": None,
    "1. 2. 3.": None, "Je ne sais pas.": None, "Antwort: F": None,
}  # fmt: skip


@pytest.mark.parametrize("text", CHOSEN)
def test_what_an_answer_chooses(text: str) -> None:
    found = chosen(text, OPTIONS)
    letters = None if found is None else "".join(LETTERS[number] for number in sorted(found))
    assert letters == CHOSEN[text]


def test_the_longest_option_that_is_named() -> None:
    options = ["Diabetes mellitus", "Diabetes mellitus Typ 2", "Gicht"]
    assert chosen("Es ist ein Diabetes mellitus Typ 2.", options) == {1}
    assert chosen("Es ist ein Diabetes mellitus.", options) == {0}


@given(st.sampled_from(["Antwort: {}", "La réponse est ({})", "The answer is {}.", "{})", "{}"]),
       st.integers(0, 4))  # fmt: skip
def test_a_cue_and_its_letter(form: str, number: int) -> None:
    assert chosen(form.format(LETTERS[number]), OPTIONS) == {number}


@given(st.text(max_size=300))
def test_whatever_is_written_gives_options_or_none(text: str) -> None:
    found = chosen(text, OPTIONS)
    assert found is None or (found and found <= set(range(5)))


@pytest.mark.parametrize("text", ["A " * 50_000, "Antwort " * 30_000, "(" * 100_000, "\0" * 99_999])
def test_long_answers_take_no_long_time(text: str) -> None:
    assert chosen(text, OPTIONS) in (None, frozenset({0}))
