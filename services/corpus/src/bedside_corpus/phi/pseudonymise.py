"""Surrogates in the place of what was found.

Within a document, one name is one surrogate, wherever it stands; dates keep their form and move by
one number of whole weeks, so that intervals, weekdays and the order of events stay; digits of
contacts and numbers are drawn anew. All of it follows from the key and the document's id alone.
Years alone, ages below 90 and titles stay. What cannot be replaced in its form becomes `[DATE]` or
the like.

Not covered: what no recogniser found, and what the story itself gives away.
"""

from __future__ import annotations

import hmac
import random
from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from hashlib import sha256

import regex

from bedside_corpus.phi.rules.dates import FULL, MONTH_YEAR, MONTHS, WORDS
from bedside_corpus.phi.rules.eponyms import EPONYMS
from bedside_corpus.phi.rules.lexicon import given_names, is_ordinary, surnames
from bedside_corpus.phi.spans import Span

WEEKS = (8, 104)
"""Dates move back by so many weeks, at least and at most."""
OLD = 90
"""From here on an age identifies (45 CFR 164.514(b)(2)(i)(C))."""
_WORD = regex.compile(r"\p{L}+")
_PARTICLES = frozenset(
    [
        "von",
        "van",
        "vom",
        "de",
        "der",
        "den",
        "zu",
        "zur",
        "zum",
        "del",
        "della",
        "di",
        "da",
        "du",
        "des",
        "la",
        "le",
        "el",
        "al",
        "und",
        "et",
    ]
)
_CENTURY = 100


class Leaked(Exception):  # noqa: N818 - an outcome, not an error
    """A word of a name still stands in the text, where it names a thing of medicine."""


def pseudonym(key: bytes, identifier: str) -> str:
    """What a document is called instead of its id, 16 hexadecimal digits."""
    return hmac.new(key, b"id\0" + identifier.encode(), sha256).hexdigest()[:16]


def pseudonymise(text: str, spans: Sequence[Span], key: bytes, identifier: str) -> str:
    """The text with surrogates.

    Args:
        text: of the document.
        spans: merged and in order.
        key: of the house.
        identifier: of the document; another one means other surrogates.

    Raises:
        Leaked: a name cannot be taken out without changing a term of medicine.
    """
    seed = hmac.new(key, b"text\0" + identifier.encode(), sha256).digest()
    surrogate = _Surrogates(random.Random(seed), text)  # noqa: S311 - seeded by an HMAC
    pieces, end = [], 0
    for span in spans:
        pieces += [
            text[end : span.start],
            surrogate.of(span.entity_type, text[span.start : span.end]),
        ]
        end = span.end
    pieces.append(text[end:])
    if any(word in surrogate.names for gap in pieces[::2] for word in _words(gap)):
        raise Leaked
    return "".join(pieces)


class _Surrogates:
    def __init__(self, chance: random.Random, text: str) -> None:
        self.names: dict[str, str] = {}
        """Surrogates of words of names, both in lower case for what is replaced."""
        self._taken = set(_words(text))
        self._chance = chance
        self._shift = timedelta(weeks=-chance.randint(*WEEKS))
        self._numbers: dict[str, str] = {}

    def of(self, category: str, piece: str) -> str:
        if category == "NAME":
            return str(_WORD.sub(lambda m: self._name(m[0]), piece))
        if category == "DATE":
            return self._date(piece)
        if category in ("CONTACT", "ID"):
            return self._drawn(piece)
        if category == "AGE":
            return str(OLD) if piece.isdecimal() and int(piece) > OLD else piece
        if category == "TITLE":
            return piece
        return f"[{category}]"

    def _name(self, word: str) -> str:
        lower = word.casefold()
        if lower in _PARTICLES:
            return word
        if len(word) == 1:
            return self._drawn(word)
        if lower not in self.names:
            pool = _given() if lower in given_names() else _sur()
            new = self._chance.choice(pool)
            while new.casefold() in self._taken:
                new = self._chance.choice(pool)
            self._taken.add(new.casefold())
            self.names[lower] = new
        new = self.names[lower]
        return new.upper() if word.isupper() else new

    def _drawn(self, piece: str) -> str:
        """Each digit and letter another one; separators stay, so that the form does."""
        if piece not in self._numbers:
            self._numbers[piece] = "".join(self._character(c) for c in piece)
        return self._numbers[piece]

    def _character(self, character: str) -> str:
        if character.isdecimal():
            return self._chance.choice("0123456789")
        if character.isalpha():
            drawn = self._chance.choice("abcdefghijkmnopqrstuvwxyz")
            return drawn.upper() if character.isupper() else drawn
        return character

    def _date(self, piece: str) -> str:
        if regex.fullmatch(r"\p{L}*\s?(?:19|20)\d\d(?:[/–-](?:(?:19|20)?\d\d))?", piece):
            return piece
        for form in (FULL, WORDS, MONTH_YEAR):
            match = form.fullmatch(piece)
            if match is not None:
                try:
                    return self._moved(match)
                except ValueError:
                    break
        return "[DATE]"

    def _moved(self, match: regex.Match[str]) -> str:
        """The same form with the moved date; a range that shares a month is no single date.

        Raises:
            ValueError: not a date of any calendar.
        """
        has = {name: value for name, value in match.groupdict().items() if value is not None}
        if match.start() != min(match.start(n) for n in has) or not {"m", "w"} & has.keys():
            raise ValueError
        digits = has.get("y", "2000").lstrip("'")
        year = int(digits) + (2000 if int(digits) < _CENTURY and len(digits) == 2 else 0)
        month = int(has["m"]) if "m" in has else MONTHS[has["w"].casefold().rstrip(".")]
        moved = date(year, month, int(has.get("d", "15").removesuffix("er"))) + self._shift
        word = next(w for w, n in _words_of_months(has.get("w", "")) if n == moved.month)
        new = {"d": moved.day, "m": moved.month, "w": word, "y": moved.year}
        single = any(len(has.get(name, "..")) == 1 for name in "dm")
        text, at = match[0], match.start()
        for name in sorted(new.keys() & has.keys(), key=match.start, reverse=True):
            start, end = match.start(name) - at, match.end(name) - at
            text = text[:start] + _like(has[name], new[name], padded=not single) + text[end:]
        return str(text)


def _like(old: str, new: object, *, padded: bool) -> str:
    """A number in the form of the old one, or a month as it is."""
    if not isinstance(new, int):
        return str(new)
    mark = "'" if old.startswith("'") else ""
    if len(old) - len(mark) == 2:
        new %= _CENTURY
        return f"{mark}{new:02d}" if padded or mark else str(new)
    return str(new)


def _words_of_months(like: str) -> list[tuple[str, int]]:
    """Months in the language of the word, written out."""
    french = like.casefold().rstrip(".") in _FRENCH and like.casefold() not in _GERMAN
    names = _FRENCH if french else _GERMAN
    return [(name if french else name.capitalize(), number) for name, number in names.items()]


_GERMAN = {
    name: MONTHS[name]
    for name in "januar februar märz april mai juni juli august september oktober november dezember".split()  # noqa: E501, SIM905
}
_FRENCH = {
    name: MONTHS[name]
    for name in "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()  # noqa: E501, SIM905
}


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text) if len(word) > 1]


@cache
def _sur() -> list[str]:
    names = (n for n in surnames() if n.isalpha() and n not in EPONYMS and not is_ordinary(n))
    return sorted(name.capitalize() for name in names)


@cache
def _given() -> list[str]:
    return sorted(n.capitalize() for n in given_names() if n.isalpha() and n not in EPONYMS)
