"""What an answer about a document says that the document does not: numbers, units, sides, denials.

A program can see that "50 mg" stands nowhere in a letter that says "5 mg"; what it sees is more
clinical than words in common. Numbers are compared by their value (0,5 and 0.5; 1.000 and 1000 both
as they may be meant), with their unit where they have one.

Not covered: a number that stands in the document beside something else, and what no number, side or
denial says. Numbers of a list ("1.", "2.") are no claims.
Tested in tests/eval/answering/test_failures.py.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bedside_core.matching import canonical

_NUMBER = r"\d+(?:[.,]\d+)*"
_UNIT = (
    r"(?:%|‰|°C|mmHg|mmol/l|mmol/mol|µmol/l|umol/l|nmol/l|pmol/l|mg/dl|g/dl|µg/l|ug/l|ng/l|ng/ml"
    r"|pg/ml|mg/l|g/l|U/l|IE/l|IU/l|IE|IU|UI|I\.E\.|ml/min|l/min|mg/kg|µg/kg|mg|µg|ug|mcg|ng|kg|g"
    r"|ml|cl|dl|l|mm|cm|m|ms|s|min|h|kPa|Hz|bpm|mSv|Gy|mval/l|Tropfen|gouttes|Stunden?|heures?"
    r"|Tagen?|Tage|jours?|Wochen?|semaines?|Monaten?|Monate|mois|Jahren?|Jahre|ans)"
)
_FOUND = re.compile(rf"(?<![\w.,])({_NUMBER})(?![\w]*\d)(?:\s?({_UNIT})(?![\w/]))?", re.IGNORECASE)
_ITEM = re.compile(r"^\s*\d{1,2}[.)]\s", re.MULTILINE)
_ALIKE = {
    "mcg": "µg", "ug": "µg", "ug/l": "µg/l", "umol/l": "µmol/l", "iu": "ie", "ui": "ie",
    "i.e.": "ie", "ie/l": "u/l", "iu/l": "u/l",
    "stunde": "h", "stunden": "h", "heure": "h", "heures": "h",
    "tag": "d", "tage": "d", "tagen": "d", "jour": "d", "jours": "d",
    "woche": "w", "wochen": "w", "semaine": "w", "semaines": "w",
    "monat": "mo", "monate": "mo", "monaten": "mo", "mois": "mo",
    "jahr": "a", "jahre": "a", "jahren": "a", "ans": "a", "an": "a",
}  # fmt: skip
SIDES = {
    "left": re.compile(r"\b(?:links|linke[nmrs]?|linksseitig\w*|gauches?|left)\b", re.I),
    "right": re.compile(r"\b(?:rechts|rechte[nmrs]?|rechtsseitig\w*|droite?s?|right)\b", re.I),
}
_DENIES = re.compile(
    r"\b(?:kein(?:e[nmrs]?)?|ohne|sans|pas d(?:e |['’])|absence d(?:e |['’])|aucune?|no|without)\s*"
    r"(?:\w+e[nrsm]?\s+)?([^\W\d_]{5,})",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"kein\w*|ohne|nicht|nie|weder|noch|frei|fehl\w*|ausgeschl\w*|ausschlu\w*|verneint\w*|negativ\w*"
    r"|unauff\w*|sans|pas|aucun\w*|absen\w*|ni|non|jamais|exclu\w*|normal\w*|no|not|without|neg"
)
BEFORE, BEHIND = 12, 6
"""Words of a document between a denial and what it denies."""


class Claims(NamedTuple):
    """What a text says, as far as a program can see."""

    numbers: frozenset[float]
    quantities: frozenset[tuple[float, str]]
    """Numbers with their units."""
    sides: frozenset[str]
    denied: frozenset[str]
    """Words that are denied, in canonical form."""


class Unsupported(NamedTuple):
    """How much of an answer the document does not say."""

    numbers: int
    units: int
    """Numbers of the document with another unit."""
    sides: int
    denials: int
    """Denied in the answer and stated in the document without a denial."""

    @property
    def any(self) -> bool:
        return any(self)


def claims(text: str) -> Claims:
    """Of an answer or a document."""
    plain = _ITEM.sub("\n", text)
    found = [(values_of(number), unit) for number, unit in _FOUND.findall(plain)]
    numbers = {value for values, _ in found for value in values}
    quantities = {(v, unit_of(unit)) for values, unit in found if unit for v in values}
    sides = {side for side, pattern in SIDES.items() if pattern.search(text)}
    denied = {canonical(word) for word in _DENIES.findall(text)}
    return Claims(frozenset(numbers), frozenset(quantities), frozenset(sides), frozenset(denied))


def unsupported(answer: str, document: str) -> Unsupported:
    """What of an answer is not in the document; a number of two readings needs one of them."""
    said, given = claims(answer), claims(document)
    plain = _ITEM.sub("\n", answer)
    strange = wrong = 0
    for number, unit in _FOUND.findall(plain):
        values = set(values_of(number))
        if not values & given.numbers:
            strange += 1
        elif unit and _of_other_unit(values, unit_of(unit), given):
            wrong += 1
    words = canonical(document).split()
    turned = sum(_stated(word, words) for word in said.denied)
    return Unsupported(strange, wrong, len(said.sides - given.sides), turned)


def _stated(word: str, words: list[str]) -> bool:
    """Whether a document has a word, and denies it nowhere."""
    places = [number for number, one in enumerate(words) if one == word]
    near = [words[max(0, n - BEFORE) : n] + words[n + 1 : n + 1 + BEHIND] for n in places]
    return bool(near) and not any(_DENIAL.fullmatch(one) for part in near for one in part)


def values_of(number: str) -> tuple[float, ...]:
    """What a number may mean: "1.000" is a thousand or one, "0,5" a half."""
    plain = [float(number.replace(",", "."))] if re.fullmatch(r"\d+(?:[.,]\d+)?", number) else []
    grouped = re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", number)
    thousands = [float(re.sub(r"[.,]", "", number))] if grouped else []
    mixed = re.fullmatch(r"(\d{1,3}(?:([.,])\d{3})+)([.,])(\d+)", number)
    if mixed and mixed.group(2) != mixed.group(3):
        whole = re.sub(r"[.,]", "", mixed.group(1))
        thousands.append(float(f"{whole}.{mixed.group(4)}"))
    # A date or a scheme ("1.2.3") is compared by its parts.
    parts = [] if plain or thousands else [float(part) for part in re.split(r"[.,]", number)]
    return (*plain, *thousands, *parts)


def unit_of(unit: str) -> str:
    """The one name of a unit."""
    low = unit.lower().replace("μ", "µ")
    return _ALIKE.get(low, low)


def _of_other_unit(values: set[float], unit: str, given: Claims) -> bool:
    units = {known for value, known in given.quantities if value in values}
    return bool(units) and unit not in units
