"""Texts made worse in one known way: what a judge must notice, whatever else it thinks of them.

Covered: German and French, with the words of clinical sentences. A function that finds nothing to
change gives None. Not covered: whether a change makes a sentence ungrammatical as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

_UNITS = r"(?:mg|µg|μg|g|ml|mmol|I\.E\.|IE|UI|Einheiten|unités)"
_NUMBER = r"(?<![\d,.])(?<!\d[\s\u00a0\u202f])\d{1,4}(?:[.,]\d+)?"
_DOSE = re.compile(
    rf"{_NUMBER}(?:\s?(?:-|–|bis|à)\s?\d+(?:[.,]\d+)?)?(?=[\s\u00a0\u202f]?{_UNITS}(?![\w.]))"
)
_SIDES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "de": (("links", "rechts"), ("link", "recht")),
    "fr": (("gauches", "droites"), ("gauche", "droite"), ("gauche", "droit")),
}
_SIDE: Mapping[str, re.Pattern[str]] = {
    "de": re.compile(r"\b(links|rechts|(?:link|recht)(?=(?:e|en|er|es|em)\b))", re.IGNORECASE),
    "fr": re.compile(r"\b(gauches?|droites?)\b", re.IGNORECASE),
}
_DENIALS: Mapping[str, tuple[tuple[re.Pattern[str], str], ...]] = {
    "de": (
        (re.compile(r"\bkein(e[nmrs]?)?\b"), r"ein\1"),
        (re.compile(r"\bnicht (?!nur\b|zuletzt\b|mehr\b)"), ""),
        (re.compile(r"\bohne\b"), "mit"),
    ),
    "fr": (
        (re.compile(r"\b(?:ne |n['’])(\w[^.;]{0,40}?) (?:pas|jamais)\b"), r"\1"),
        (re.compile(r"\bsans\b"), "avec"),
    ),
}


def ten_times(text: str, _: str) -> str | None:
    """Every dose, and every bound of a range of doses, times ten."""
    changed = _DOSE.sub(lambda dose: re.sub(r"\d+(?:[.,]\d+)?", _tenfold, dose[0]), text)
    return changed if changed != text else None


def _tenfold(number: re.Match[str]) -> str:
    comma = "," in number[0]
    value = (Decimal(number[0].replace(",", ".")) * 10).normalize()
    text = f"{value:f}"
    return text.replace(".", ",") if comma else text


def turned(text: str, language: str) -> str | None:
    """Left for right and right for left."""
    changed = _SIDE[language].sub(lambda side: _other_side(side[0], language), text)
    return changed if changed != text else None


def _other_side(word: str, language: str) -> str:
    for left, right in _SIDES[language]:
        for one, other in ((left, right), (right, left)):
            if word.lower() == one:
                return other.capitalize() if word[0].isupper() else other
    return word


def undenied(text: str, language: str) -> str | None:
    """The first denial that is found becomes a statement."""
    for pattern, instead in _DENIALS[language]:
        changed = pattern.sub(instead, text, count=1)
        if changed != text:
            return changed
    return None
