"""Failures of an answer that a program can see; DeFineMed, appendix A.7.3, names fourteen modes.

Here: empty, truncated, repetition, language mixing, leaks of a template, and, against a document,
numbers, units, sides and denials that it does not hold. Whether an answer is wrong, leaves
something out or does harm is for a judge.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

from lingua import IsoCode639_1, Language, LanguageDetector, LanguageDetectorBuilder

from bedside_eval.answering.extraction import THINKING

REPEATED_SHARE = 0.30
"""Of the runs of four words, those that came before: 0 of 762 medical texts have so many, and 200
of 200 loops (measured 2026, reference/evaluation.md, section 6)."""
LOOP_TIMES = 3
"""Repetitions of the last words in a row that make a loop."""
MIN_RUNS = 20
SEGMENT_CHARACTERS = 40
SURE = 0.9
"""Confidence, among the languages that are possible, from which a segment is in another one."""
POSSIBLE = ("de", "fr", "en")
_SEGMENTS = re.compile(r"(?<=[.!?])\s+|\n+")
_LEAKS = re.compile(
    r"<\|[^|>\n]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?think(?:ing)?>"
    r"|^#{2,3} ?(?:Instruction|Response|User|Assistant):|^\s*(?:user|assistant|system)\s*$",
    re.IGNORECASE | re.MULTILINE,
)
Failure = Literal["empty", "truncated", "repetition", "language_mixing", "template_leakage"]


def is_repetition(text: str) -> bool:
    """Whether an answer goes round in circles."""
    words = text.lower().split()
    runs = [tuple(words[n : n + 4]) for n in range(len(words) - 3)]
    if len(runs) >= MIN_RUNS and 1 - len(set(runs)) / len(runs) > REPEATED_SHARE:
        return True
    return _loops(words)


def _loops(words: list[str]) -> bool:
    """Whether it ends in the same words, of one to thirty, three times and more in a row.

    A single word or two may be said three times for a reason; of those it takes eight.
    """
    for size in range(1, min(30, len(words) // LOOP_TIMES) + 1):
        times = LOOP_TIMES if size > 2 else 8
        block = words[-size:]
        if len(words) >= size * times and words[-size * times :] == block * times:
            return True
    return False


def is_mixed(text: str, language: str) -> bool:
    """Whether a segment of an answer is in another language than the question.

    Segments under `SEGMENT_CHARACTERS` and those without a sentence's words are not judged: names
    of drugs, doses and Latin have no language.
    """
    own = language.partition("-")[0]
    if own not in POSSIBLE:
        return False
    return any(_foreign(part, own) for part in _SEGMENTS.split(THINKING.sub("", text)))


def _foreign(segment: str, own: str) -> bool:
    words = re.findall(r"[^\W\d_]+", segment)
    small = sum(word.islower() for word in words)
    if len(segment) < SEGMENT_CHARACTERS or len(words) < 6 or small < len(words) / 2:
        return False
    first, *_ = detector().compute_language_confidence_values(segment)
    return first.value >= SURE and first.language.iso_code_639_1 != _iso(own)


@cache
def detector() -> LanguageDetector:
    """Of a closed set: among all languages short German is called Dutch."""
    codes = [_iso(code) for code in POSSIBLE]
    return LanguageDetectorBuilder.from_iso_codes_639_1(*codes).build()


def _iso(code: str) -> IsoCode639_1:
    languages = {"de": Language.GERMAN, "fr": Language.FRENCH, "en": Language.ENGLISH}
    return languages[code].iso_code_639_1


def leaks(text: str) -> bool:
    """Whether signs of a chat template, or of a model's thinking, stand in an answer."""
    return _LEAKS.search(text) is not None
