"""Our instruction sets, judged by IFEval's checks (Zhou et al. 2023).

They are those of lm-evaluation-harness 0.4.13. Its own module asks for `langdetect` and
`immutabledict` and fetches data of nltk on import, so those that the sets use stand here again.
Left out are the ones that need such data (sentences, capital words) or are for English (case,
fixed answers).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMS = Path(__file__).parents[2] / "exams"


def _compare(found: int, relation: str, wanted: int) -> bool:
    return found < wanted if relation == "less than" else found >= wanted


def _count(pattern: str, text: str, flags: int = re.MULTILINE) -> int:
    return len(re.findall(pattern, text, flags))


def _paragraphs(text: str, num_paragraphs: int) -> bool:
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", text)]
    return all(parts[1:-1]) and len([part for part in parts if part]) == num_paragraphs


def _first_word(text: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    parts = [part for part in text.split("\n\n") if part.strip()]
    if len(parts) != num_paragraphs or not 1 <= nth_paragraph <= num_paragraphs:
        return False
    word = parts[nth_paragraph - 1].split()[0].lstrip("'\"")
    return re.split(r"[.,?!'\"]", word)[0].lower() == first_word.lower()


def _highlights(text: str) -> int:
    single = re.findall(r"\*[^\n\*]*\*", text)
    double = re.findall(r"\*\*[^\n\*]*\*\*", text)
    return sum(bool(found.strip("*").strip()) for found in single + double)


def _json(text: str) -> bool:
    bare = re.sub(r"^```(json)?|```$", "", text.strip(), flags=re.IGNORECASE).strip()
    try:
        json.loads(bare)
    except ValueError:
        return False
    return True


def _two(text: str) -> bool:
    parts = [part.strip() for part in text.split("******")]
    full = [part for part in parts if part]
    return all(parts[1:-1]) and len(full) == 2 and full[0] != full[1]


def _quoted(text: str) -> bool:
    bare = text.strip()
    return len(bare) > 1 and bare[0] == bare[-1] == '"'


CHECKS: dict[str, Callable[..., bool]] = {
    "keywords:existence": lambda text, keywords: all(
        re.search(word, text, re.IGNORECASE) for word in keywords
    ),
    "keywords:frequency": lambda text, keyword, frequency, relation: _compare(
        _count(keyword, text, re.IGNORECASE), relation, frequency
    ),
    "keywords:forbidden_words": lambda text, forbidden_words: (
        not any(re.search(rf"\b{word}\b", text, re.IGNORECASE) for word in forbidden_words)
    ),
    "keywords:letter_frequency": lambda text, letter, let_frequency, let_relation: _compare(
        text.lower().count(letter.lower()), let_relation, let_frequency
    ),
    "length_constraints:number_words": lambda text, num_words, relation: _compare(
        _count(r"\w+", text), relation, num_words
    ),
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": lambda text, num_placeholders: (
        _count(r"\[.*?\]", text) >= num_placeholders
    ),
    "detectable_content:postscript": lambda text, postscript_marker: (
        postscript_marker == "P.S." and _count(r"\s*p\.\s?s\..*$", text.lower()) > 0
    ),
    "detectable_format:number_bullet_lists": lambda text, num_bullets: (
        _count(r"^\s*\*[^\*].*$", text) + _count(r"^\s*-.*$", text) == num_bullets
    ),
    "detectable_format:number_highlighted_sections": lambda text, num_highlights: (
        _highlights(text) >= num_highlights
    ),
    "detectable_format:multiple_sections": lambda text, section_spliter, num_sections: (
        _count(rf"\s?{section_spliter}\s?\d+\s?", text) >= num_sections
    ),
    "detectable_format:json_format": _json,
    "detectable_format:title": lambda text: any(
        title.strip("<> ") for title in re.findall(r"<<[^\n]+>>", text)
    ),
    "combination:two_responses": _two,
    "combination:repeat_prompt": lambda text, prompt_to_repeat: (
        text.strip().lower().startswith(prompt_to_repeat.strip().lower())
    ),
    "startend:end_checker": lambda text, end_phrase: (
        text.strip().strip('"').lower().endswith(end_phrase.strip().lower())
    ),
    "startend:quotation": _quoted,
    "punctuation:no_comma": lambda text: "," not in text,
}


def follows(text: str, instructions: list[str], arguments: list[dict[str, Any]]) -> list[bool]:
    """By instruction: whether `text` follows it."""
    pairs = zip(instructions, arguments, strict=True)
    return [CHECKS[instruction](text, **kwargs) for instruction, kwargs in pairs]


@pytest.mark.parametrize("language", ["de", "fr"])
def test_our_answers_follow_the_instructions_or_break_one(language):
    text = (EXAMS / f"instructions_{language}.jsonl").read_text(encoding="utf-8")
    items = [json.loads(line) for line in text.splitlines()]
    for item in items:
        asked = item["instruction_id_list"], item["kwargs"]
        assert all(follows(item["passes"], *asked)), item["id"]
        assert not all(follows(item["fails"], *asked)), item["id"]
    assert Counter(item["domain"] for item in items) == {"medical": 30, "general": 30}
    used = {name for item in items for name in item["instruction_id_list"]}
    assert used == set(CHECKS)
