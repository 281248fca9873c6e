"""The exam has what it promises, in each language, and is made of our own questions."""

from __future__ import annotations

from collections import Counter
from importlib import resources
from pathlib import Path

import pytest

from bedside_eval.judging.battery import PAIRS, PARTS, languages, pairs, to_reword
from bedside_eval.judging.damage import ten_times, turned, undenied
from bedside_eval.judging.sentences import PLANTS, SENTENCES

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("language", languages())
def test_the_packaged_questions_are_the_repositorys(language: str) -> None:
    packaged = resources.files("bedside_eval.judging").joinpath("data", f"{language}.jsonl")
    own = ROOT / f"exams/open_{language}.jsonl"
    assert packaged.read_bytes() == own.read_bytes(), f"cp {own} {packaged}"


@pytest.mark.parametrize("language", languages())
def test_every_part_has_all_its_pairs(language: str) -> None:
    found = pairs(language)
    counts = Counter(pair.part for pair in (*found, *to_reword(language)))
    assert counts == dict.fromkeys([part.name for part in PARTS], PAIRS)
    assert all((pair.right == pair.other) == (pair.part == "identical") for pair in found)
    assert all("None" not in pair.other and "{" not in pair.question for pair in found)
    for part in PARTS:
        own = [pair.question for pair in found if pair.part == part.name]
        assert len(set(own)) == len(own), "a question is one trial"


@pytest.mark.parametrize("language", languages())
def test_every_given_fact_can_be_damaged(language: str) -> None:
    words = SENTENCES[language]
    for facts, damage in (
        (words.doses, ten_times), (words.sides, turned), (words.denials, undenied),
    ):  # fmt: skip
        for fact in facts:
            assert damage(fact.repeated, language) not in (None, fact.repeated)


@pytest.mark.parametrize("language", languages())
def test_each_plant_names_both_places(language: str) -> None:
    planted = [pair.other for pair in pairs(language) if pair.part == "planted"]
    for plant in PLANTS:
        for letter in "AB":
            assert any(text.endswith(plant.format(letter=letter)) for text in planted)
