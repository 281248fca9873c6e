"""The language of a text, by the byte n-grams of its words.

The library is py3langid: naive Bayes over 140 languages, 5 MB, no pickle. lingua (100 MB, 5 to 90
times slower) is as often right on documents, and less often on short clinical text in French and
English; `bench/corpus/language.py` measures both.

Covered: texts of 20 words or more, by their first 2,000 letters.
Not covered: shorter ones, which are never decided; a second language further down; Latin, which
lists of diagnoses are written in whatever the language of the letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from py3langid.langid import MODEL_FILE, LanguageIdentifier

MIN_WORDS = 20
"""On fewer, right answers with a high probability become rare: of ten German words cut out of
letters, one of five is undecided at 0.8; of twenty, one of ten."""
MAX_LETTERS = 2000
"""Looked at; longer texts are not better known, and each further kilobyte costs half a
millisecond."""
LATIN = "la"

_WORD = re.compile(r"[^\W\d_]{2,}")
"""Numbers, units of one letter and signs say nothing of a language."""


class Found(NamedTuple):
    """The most probable language of a text."""

    language: str
    """ISO 639-1 code, or 639-3 where there is none."""
    probability: float
    """0 to 1, softened by the length of the text as py3langid does it."""


def identify(text: str) -> Found | None:
    """The language of a text; nothing for one of fewer than `MIN_WORDS` words, or in Latin."""
    words = list(_first_words(text))
    if len(words) < MIN_WORDS:
        return None
    language, probability = _identifier().classify(" ".join(words))
    return None if language == LATIN else Found(language, probability)


@cache
def known_languages() -> frozenset[str]:
    """The codes that `identify` can answer with."""
    return frozenset(_identifier().labels) - {LATIN}


def _first_words(text: str) -> Iterator[str]:
    letters = 0
    for match in _WORD.finditer(text):
        yield match[0]
        letters += len(match[0])
        if letters >= MAX_LETTERS:
            return


@cache
def _identifier() -> LanguageIdentifier:
    """Read once in each process, in half a second."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
