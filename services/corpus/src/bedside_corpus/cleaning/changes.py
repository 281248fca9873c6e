"""What a rule changed, counted by character and never by word.

Tested in tests/corpus/cleaning/test_clean.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable

Replace = Callable[[re.Match[str]], str]
"""What stands in place of a match."""


def point(text: str) -> str:
    """The code point of the first character, or `nothing`: `U+00AD`."""
    return f"U+{ord(text[0]):04X}" if text else "nothing"


def substitute(pattern: re.Pattern[str], replace: Replace, text: str, counts: Counter[str]) -> str:
    """`pattern.sub`, counting each match that changes: `U+00AD to U+002D`.

    The label names the first character on both sides, so the pattern must match signs, not words.
    """
    if not pattern.search(text):
        return text

    def counted(match: re.Match[str]) -> str:
        before, after = match[0], replace(match)
        if after != before:
            counts[f"{point(before)} to {point(after)}"] += 1
        return after

    return pattern.sub(counted, text)


def around(match: re.Match[str]) -> tuple[str, str]:
    """The characters before and after a match, empty at the ends of the text."""
    text, start, end = match.string, match.start(), match.end()
    return text[start - 1 : start] if start else "", text[end : end + 1]


def in_word(character: str) -> bool:
    """Whether it is a letter, a mark on one, or a decimal digit; `character` may be empty.

    A superscript or a fraction is none of these: it cannot be read as one number with its
    neighbour ("10" and "⁹").
    """
    return bool(character) and (
        character.isalpha() or character.isdecimal() or unicodedata.category(character)[0] == "M"
    )
