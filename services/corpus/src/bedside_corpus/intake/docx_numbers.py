"""The numbers and dashes that Word shows before paragraphs, and keeps in other parts of the file.

ECMA-376 part 1, 17.9: a paragraph, or its style, names a list (`numId`) and a level; the list names
an abstract one, which has a format, a start and a text such as `%1.%2` for each level. Lists of one
abstract list count on, unless they begin anew by an override.
"""

from __future__ import annotations

import re
from collections import defaultdict
from string import ascii_lowercase
from typing import Any

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
LEVELS = 9
DASH = "-"
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"),
    (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip


class Numbering:
    """The lists of a file, and how far each has counted; paragraphs are asked in their order."""

    def __init__(self, numbering: Any | None, styles: Any | None) -> None:
        """The roots of `numbering.xml` and `styles.xml`, where the file has them."""
        self._abstract = _by(numbering, "abstractNum", "abstractNumId")
        self._lists = _by(numbering, "num", "numId")
        self._styles = _by(styles, "style", "styleId")
        self._counts: defaultdict[str, list[int | None]] = defaultdict(lambda: [None] * LEVELS)
        self._begun: set[tuple[str, int]] = set()

    def mark(self, paragraph: Any) -> str | None:
        """What stands before it, indented by its level; None for one that is in no list."""
        number, level = self._place(paragraph)
        if number is None or number == "0":  # which takes a paragraph out of its style's list
            return None
        found = self._lists.get(number)
        abstract = "" if found is None else _value(found, "abstractNumId") or ""
        levels = self._levels(found, abstract)
        own = levels.get(level)
        if own is None:
            return "  " * level + DASH
        counts = self._count(found, number, abstract, level, levels)
        kind, text = _value(own, "numFmt") or "decimal", _value(own, "lvlText") or ""
        if kind == "bullet":
            return "  " * level + DASH
        shown = re.sub(r"%([1-9])", lambda place: _shown(counts, levels, int(place[1]) - 1), text)
        # A number of several levels shows by itself how deep it is.
        return ("  " * level if text.count("%") < 2 else "") + shown

    def _place(self, paragraph: Any) -> tuple[str | None, int]:
        """List and level: the paragraph's own, or else its style's."""
        properties = paragraph.find(f"{W}pPr")
        if properties is None:
            return None, 0
        own = properties.find(f"{W}numPr")
        style = _value(properties, "pStyle")
        number, level = (None, None) if own is None else _named(own)
        seen: set[str] = set()
        while (number is None or level is None) and style in self._styles and style not in seen:
            seen.add(style)
            of_style = self._styles[style].find(f"{W}pPr/{W}numPr")
            given = (None, None) if of_style is None else _named(of_style)
            if number is None and given[0] is not None:
                number, level = given[0], level if level is not None else given[1]
            style = _value(self._styles[style], "basedOn")
        if own is not None and number is None:
            number = ""  # of no list that the file has
        return number, min(max(level or 0, 0), LEVELS - 1)

    def _levels(self, found: Any | None, abstract: str) -> dict[int, Any]:
        general = self._abstract.get(abstract)
        levels = {} if general is None else _by_level(general.findall(f"{W}lvl"))
        if found is not None:
            levels |= _by_level(found.findall(f"{W}lvlOverride/{W}lvl"))
        return levels

    def _count(
        self, found: Any, number: str, abstract: str, level: int, levels: dict[int, Any]
    ) -> list[int | None]:
        counts = self._counts[abstract]
        override = None
        for one in found.findall(f"{W}lvlOverride"):
            if one.get(f"{W}ilvl") == str(level) and (number, level) not in self._begun:
                override = _integer(_value(one, "startOverride"))
        self._begun.add((number, level))
        before = counts[level]
        start = _integer(_value(levels[level], "start"))
        counts[level] = override if override is not None else (
            (start or 0) if before is None else before + 1
        )  # fmt: skip
        counts[level + 1 :] = [None] * (LEVELS - level - 1)
        return counts


def _shown(counts: list[int | None], levels: dict[int, Any], level: int) -> str:
    own = levels.get(level)
    count, kind = counts[level], "decimal"
    if own is not None:
        kind = _value(own, "numFmt") or kind
        count = count if count is not None else _integer(_value(own, "start"))
    return formatted(count or 0, kind)


def formatted(number: int, kind: str) -> str:
    """A number as a `numFmt` writes it; formats that are not known write digits."""
    match kind:
        case "lowerLetter" | "upperLetter" if number > 0:  # z is followed by aa, then bb
            text = ascii_lowercase[(number - 1) % 26] * min((number - 1) // 26 + 1, 30)
        case "lowerRoman" | "upperRoman" if 0 < number < 4000:
            text = ""
            for value, sign in _ROMAN:
                text += sign * (number // value)
                number %= value
        case "decimalZero":
            return f"{number:02}"
        case "none":
            return ""
        case _:
            return str(number)
    return text.upper() if kind.startswith("upper") else text


def _by(root: Any | None, name: str, key: str) -> dict[str, Any]:
    found = () if root is None else root.findall(f"{W}{name}")
    return {one.get(f"{W}{key}", ""): one for one in found}


def _by_level(found: list[Any]) -> dict[int, Any]:
    levels = {_integer(one.get(f"{W}ilvl")): one for one in found}
    return {level: one for level, one in levels.items() if level is not None}


def _named(properties: Any) -> tuple[str | None, int | None]:
    return _value(properties, "numId"), _integer(_value(properties, "ilvl"))


def _value(element: Any, name: str) -> str | None:
    found = element.find(f"{W}{name}")
    value: str | None = None if found is None else found.get(f"{W}val")
    return value


def _integer(value: str | None) -> int | None:
    try:
        return None if value is None else int(value)
    except ValueError:
        return None
