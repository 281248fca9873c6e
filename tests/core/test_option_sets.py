"""Short questions with their options are found in any order, and not without them."""

from __future__ import annotations

from itertools import permutations

import pytest

from bedside_core.matching import canonical
from bedside_core.option_sets import OptionSets

QUESTION = "Welches Mittel wird zuerst gegeben?"
OPTIONS = ["Adrenalin i.m.", "Cortison", "ein Antihistaminikum", "Volumen"]
SETS = OptionSets({3: (QUESTION, OPTIONS), 5: ("Und dann?", OPTIONS), 7: (QUESTION, list("+-*/"))})
FILLER = "Die Fortbildung behandelt Notfälle auf der Station und im Rettungsdienst. " * 20


def find(text: str) -> set[int]:
    return SETS.find(canonical(text))


@pytest.mark.parametrize("order", list(permutations(range(4)))[::5])
def test_any_order_and_any_letters(order: tuple[int, ...]) -> None:
    chosen = [OPTIONS[n] for n in order]
    lettered = "\n".join(
        f"{letter}) {option}" for letter, option in zip("ABCD", chosen, strict=True)
    )
    assert find(f"{QUESTION}\n{lettered}") == {3}
    assert find(f"{FILLER}12. {QUESTION.upper()} – {'; '.join(chosen)}. {FILLER}") == {3}


@pytest.mark.parametrize(
    "text",
    [
        QUESTION,
        f"{QUESTION} {', '.join(OPTIONS[:3])}",
        f"{QUESTION} {FILLER} {', '.join(OPTIONS)}",
        f"{', '.join(OPTIONS)} {QUESTION}",
        f"Welches Mittel wird später gegeben? {', '.join(OPTIONS)}",
        f"{QUESTION} Adrenalin i.m., Cortisonsalbe, ein Antihistaminikum, Volumen",
        "",
    ],
)
def test_not_without_question_or_option(text: str) -> None:
    assert find(text) == set()


def test_a_question_of_three_words_and_options_of_signs_are_not_looked_for() -> None:
    assert find(f"Und dann? {' '.join(OPTIONS)}") == set()
    assert OptionSets({}).find("a b c") == set()


def test_items_that_ask_the_same_with_other_options() -> None:
    others = ["Sauerstoff", "Salbutamol", "Glukose", "Heparin"]
    sets = OptionSets({0: (QUESTION, OPTIONS), 1: (QUESTION, others)})
    assert sets.find(canonical(f"{QUESTION} {' '.join(reversed(others))}")) == {1}
    assert sets.find(canonical(f"{QUESTION} {' '.join([*others, *OPTIONS])}")) == {0, 1}
