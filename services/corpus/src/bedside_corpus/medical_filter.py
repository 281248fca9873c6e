"""A simple medical filter: the share of a text's words that carry a German medical stem."""

from __future__ import annotations

import re
from functools import lru_cache

from bedside_corpus.medical_terms import ANYWHERE, BEGINNING, ENDING, NEVER, WHOLE

WORD = re.compile(r"[^\W\d_]+")
"""A run of letters; so "mg/dl" is two words and "12,5" is none."""

# Alternatives are sorted so that the compiled pattern does not depend on the order of a set.
_ANYWHERE = re.compile("|".join(sorted(ANYWHERE)))
_BEGINNING = tuple(sorted(BEGINNING))
_ENDING = tuple(sorted(ENDING))
_NEVER = tuple(sorted(NEVER))


@lru_cache(maxsize=1 << 18)
def is_medical(word: str) -> bool:
    """Whether a word in lower case counts as medical.

    Remembered per word: a few thousand words make up most of any text.
    """
    if word in WHOLE:
        return True
    if word.startswith(_NEVER):
        return False
    return (
        word.startswith(_BEGINNING) or word.endswith(_ENDING) or _ANYWHERE.search(word) is not None
    )


def density(text: str) -> float:
    """Medical words divided by all words of `text`, 0 to 1; a text without words has 0."""
    words = WORD.findall(text.lower())
    return sum(map(is_medical, words)) / len(words) if words else 0.0
