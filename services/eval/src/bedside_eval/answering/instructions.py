"""Whether an answer has the form that was asked for: IFEval's checks (Zhou et al. 2023).

They judge as those of lm-evaluation-harness 0.4.13 do, whose module asks for packages and fetches
data on import, so the checks stand here. Left out are those that need such data (sentences, capital
words, language) or are for English (case, fixed answers): an exam with one of them is refused.

Tested in tests/exams/test_instructions.py, tests/eval/answering/test_scoring.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping

from bedside_core.errors import InputError
from bedside_core.kinds.exam import InstructionItem


def _compare(found: int, relation: str, wanted: int) -> bool:
    return found < wanted if relation == "less than" else found >= wanted


def _count(pattern: str, text: str, flags: int = re.MULTILINE) -> int:
    return len(re.findall(pattern, text, flags))


def _words(text: str, num_words: int, relation: str) -> bool:
    return _compare(_count(r"\w+", text), relation, num_words)


def _paragraphs(text: str, num_paragraphs: int) -> bool:
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", text)]
    return all(parts[1:-1]) and len([part for part in parts if part]) == num_paragraphs


def _first_word(text: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    parts = [part for part in text.split("\n\n") if part.strip()]
    if len(parts) != num_paragraphs or not 1 <= nth_paragraph <= num_paragraphs:
        return False
    word = parts[nth_paragraph - 1].split()[0].lstrip("'\"")
    return re.split(r"[.,?!'\"]", word)[0].lower() == first_word.lower()


def _highlights(text: str, num_highlights: int) -> bool:
    single = re.findall(r"\*[^\n\*]*\*", text)
    double = re.findall(r"\*\*[^\n\*]*\*\*", text)
    return sum(bool(found.strip("*").strip()) for found in single + double) >= num_highlights


def _json(text: str) -> bool:
    bare = re.sub(r"^```(json)?|```$", "", text.strip(), flags=re.IGNORECASE).strip()
    try:
        json.loads(bare)
    except (ValueError, RecursionError):
        return False
    return True


def _two(text: str) -> bool:
    parts = [part.strip() for part in text.split("******")]
    full = [part for part in parts if part]
    return all(parts[1:-1]) and len(full) == 2 and full[0] != full[1]


def _quoted(text: str) -> bool:
    bare = text.strip()
    return len(bare) > 1 and bare[0] == bare[-1] == '"'


def _existence(text: str, keywords: Iterable[str]) -> bool:
    return all(re.search(word, text, re.IGNORECASE) for word in keywords)


def _frequency(text: str, keyword: str, frequency: int, relation: str) -> bool:
    return _compare(_count(keyword, text, re.IGNORECASE), relation, frequency)


def _forbidden(text: str, forbidden_words: Iterable[str]) -> bool:
    return not any(re.search(rf"\b{word}\b", text, re.IGNORECASE) for word in forbidden_words)


def _letters(text: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    return _compare(text.lower().count(letter.lower()), let_relation, let_frequency)


def _placeholders(text: str, num_placeholders: int) -> bool:
    return _count(r"\[.*?\]", text) >= num_placeholders


def _postscript(text: str, postscript_marker: str) -> bool:
    return postscript_marker == "P.S." and _count(r"\s*p\.\s?s\..*$", text.lower()) > 0


def _bullets(text: str, num_bullets: int) -> bool:
    found = _count(r"^\s*\*[^\*].*$", text) + _count(r"^\s*-.*$", text)
    return found == num_bullets


def _sections(text: str, section_spliter: str, num_sections: int) -> bool:
    return _count(rf"\s?{section_spliter}\s?\d+\s?", text) >= num_sections


def _title(text: str) -> bool:
    return any(title.strip("<> ") for title in re.findall(r"<<[^\n]+>>", text))


def _repeats(text: str, prompt_to_repeat: str) -> bool:
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def _ends(text: str, end_phrase: str) -> bool:
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def _no_comma(text: str) -> bool:
    return "," not in text


CHECKS: Mapping[str, Callable[..., bool]] = {
    "keywords:existence": _existence,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden,
    "keywords:letter_frequency": _letters,
    "length_constraints:number_words": _words,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _json,
    "detectable_format:title": _title,
    "combination:two_responses": _two,
    "combination:repeat_prompt": _repeats,
    "startend:end_checker": _ends,
    "startend:quotation": _quoted,
    "punctuation:no_comma": _no_comma,
}


def check_known(exam: str, items: Iterable[InstructionItem]) -> None:
    """See that every check is one of ours, with its arguments.

    Raises:
        InputError: names exam, items and checks.
    """
    unknown = {
        name: item.id for item in items for name in item.instruction_id_list if name not in CHECKS
    }
    if unknown:
        named = ", ".join(f"{name} (item {where})" for name, where in sorted(unknown.items()))
        raise InputError(f"exam {exam}: no program checks {named} - leave these items out")
    for item in items:
        followed(item, "")


def followed(item: InstructionItem, text: str) -> list[bool]:
    """By check, whether an answer follows it; an empty answer follows none.

    Raises:
        InputError: a check has other arguments.
    """
    try:
        found = [
            CHECKS[name](text, **arguments)
            for name, arguments in zip(item.instruction_id_list, item.kwargs, strict=True)
        ]
    except (TypeError, re.error):
        raise InputError(
            f"item {item.id}: kwargs are not those that its checks take - see IFEval"
        ) from None
    return found if text.strip() else [False] * len(found)
