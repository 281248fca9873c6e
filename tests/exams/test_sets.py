"""Our own exam sets: complete, of one form, each item its own, and what they ask can be met."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bedside_core.kinds.exam import read_exam
from bedside_core.matching import canonical
from bedside_core.overlap import OverlapIndex
from bedside_corpus.language.identify import identify

ROOT = Path(__file__).parents[2]
ITEM = {"type": str, "id": str, "language": str, "source": str, "licence": str}
OPEN = ITEM | {
    "specialty": str,
    "cluster": str,
    "question": str,
    "reference": str,
    "key_points": list,
    "must_not": list,
}
INSTRUCTION = ITEM | {
    "domain": str,
    "question": str,
    "instruction_id_list": list,
    "kwargs": list,
    "passes": str,
    "fails": str,
}
DOCUMENT = ITEM | {
    "cluster": str,
    "task": str,
    "context": str,
    "question": str,
    "reference": str,
    "facts": (dict, list),
}
SETS = {
    "open_de": (120, OPEN),
    "open_fr": (60, OPEN),
    "instructions_de": (60, INSTRUCTION),
    "instructions_fr": (60, INSTRUCTION),
    "documents_de": (40, DOCUMENT),
}
MOST_SHARED = 0.25
"""Share of an item's words in runs of eight in another text: more than a turn of speech."""
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
UNIT = re.compile(
    r"(\d+(?:[.,]\d+)*)\s?"
    r"(%|(?:(?:mg|µg|ng|g|mmol|pmol)/d?l|ml/min|mmHg|/nl|fl|mm|cm|kg|mg|µg|ml)(?!\w))"
)


def read(name: str) -> list[dict[str, Any]]:
    lines = (ROOT / "exams" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def texts(item: dict[str, Any]) -> str:
    """What is an item's own: all that it asks, or the letter that it is about."""
    return item.get("context") or f"{item['question']} {item.get('reference') or item['passes']}"


def values(item: dict[str, Any]) -> list[str]:
    """The facts as the letter writes them: decimal comma, no answers to yes-or-no questions."""
    facts = item["facts"].values() if isinstance(item["facts"], dict) else item["facts"]
    return [
        str(fact).replace(".", ",") if isinstance(fact, float) else str(fact)
        for fact in facts
        if not isinstance(fact, bool)
    ]


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_complete_and_each_line_has_its_form(name):
    count, form = SETS[name]
    assert len(read_exam(ROOT / "exams" / f"{name}.jsonl")) == count
    items = read(name)
    ids = [item["id"] for item in items]
    assert len(items) == count
    assert ids == sorted(set(ids))
    for item in items:
        assert item.keys() == form.keys()
        assert all(isinstance(item[key], kind) for key, kind in form.items()), item["id"]
        assert all(item[key] for key in form if key != "must_not"), item["id"]
        assert (item["source"], item["licence"]) == ("bedside", "CC0-1.0")
        assert item["language"] == name[-2:]


@pytest.mark.parametrize("name", SETS)
def test_the_texts_are_in_the_language_that_they_name(name):
    found = {item["id"]: identify(texts(item)) for item in read(name)}
    known = {key: language for key, language in found.items() if language}
    assert len(known) >= 0.9 * len(found)
    assert {key for key, language in known.items() if language.language != name[-2:]} == set()


@pytest.mark.parametrize("name", ["open_de", "open_fr"])
def test_an_open_question_has_what_a_judge_needs(name):
    items = read(name)
    for item in items:
        assert 15 <= len(item["question"].split()) <= 90, item["id"]
        assert 3 <= len(item["key_points"]) <= 6, item["id"]
        assert len(item["must_not"]) <= 3, item["id"]
    assert len({item["specialty"] for item in items}) >= 20
    assert max(Counter(item["cluster"] for item in items).values()) <= 3


def test_no_item_is_a_near_copy_of_another_or_of_the_demos_texts():
    items = list({texts(item): item for name in SETS for item in read(name)}.values())
    index = OverlapIndex([texts(item) for item in items])
    for number, item in enumerate(items):
        shares = index.look_up(canonical(texts(item))).shares
        assert shares.pop(number) == 1
        assert max(shares.values(), default=0) < MOST_SHARED, item["id"]
    demo = [path.read_text(encoding="utf-8") for path in (ROOT / "demo").rglob("*.txt")]
    asked = [
        json.loads(line)["question"]
        for path in (ROOT / "demo" / "exam").glob("*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    found = index.count(map(canonical, demo + asked))
    assert max(overlap.ngram for overlap in found) < MOST_SHARED
    assert demo and asked


def test_each_letter_has_two_tasks_and_a_letters_length():
    items = read("documents_de")
    letters = Counter((item["cluster"], item["context"]) for item in items)
    assert set(letters.values()) == {2}
    assert len({cluster for cluster, _ in letters}) == 20
    assert all(150 <= len(document.split()) <= 400 for _, document in letters)
    assert Counter(item["task"] for item in items) == {
        "summarise": 14,
        "extract": 13,
        "plain_language": 13,
    }


def test_every_number_and_unit_of_facts_and_reference_stands_in_the_letter():
    for item in read("documents_de"):
        numbers = set(NUMBER.findall(item["context"]))
        measured = set(UNIT.findall(item["context"]))
        facts = " ; ".join(values(item))
        reference = facts if item["task"] == "extract" else item["reference"]
        for text in (facts, reference):
            assert set(NUMBER.findall(text)) <= numbers, item["id"]
            assert set(UNIT.findall(text)) <= measured, item["id"]
        assert set(NUMBER.findall(facts)) <= set(NUMBER.findall(reference)), item["id"]


def test_what_is_to_be_extracted_is_asked_for_and_stands_in_the_letter():
    for item in read("documents_de"):
        if item["task"] != "extract":
            continue
        assert json.loads(item["reference"]) == item["facts"]
        assert re.findall(r"`(\w+)`", item["question"]) == list(item["facts"])
        document = item["context"].casefold().replace("linke", "links").replace("rechte", "rechts")
        for value in values(item):
            assert value.casefold() in document, (item["id"], value)
        assert any(isinstance(value, bool) for value in item["facts"].values()), item["id"]
