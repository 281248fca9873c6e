"""Numbers as a reader of German, French or English writes them.

Tested in tests/eval/reporting/test_words.py.
"""

from __future__ import annotations

from typing import Literal

Language = Literal["de", "fr", "en"]
LANGUAGES: tuple[Language, ...] = ("de", "fr", "en")
_MARKS: dict[Language, tuple[str, str]] = {
    "de": (".", ","),
    "fr": ("\u00a0", ","),
    "en": (",", "."),
}
"""Between thousands, before decimals."""
_MINUS = "\u2212"


def number(value: float, digits: int, language: Language, *, signed: bool = False) -> str:
    """With `digits` decimals; never a negative zero. `signed` shows a plus."""
    shown = f"{value:{'+' if signed else ''}z,.{digits}f}"
    thousands, decimal = _MARKS[language]
    return shown.translate({44: thousands, 46: decimal, 45: _MINUS})


def percent(share: float, language: Language, digits: int = 1) -> str:
    """A share between 0 and 1."""
    space = "" if language == "en" else "\u00a0"
    return f"{number(100 * share, digits, language)}{space}%"
