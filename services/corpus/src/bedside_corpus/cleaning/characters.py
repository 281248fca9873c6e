"""Single characters that are not text: each becomes what it stood for, a blank, or nothing.

Nothing only where that joins no two runs of letters or digits. What is invisible between two small
letters is inside a word and goes; anywhere else in a run it was a separator and leaves a blank or
a hyphen: "Na", U+001F, "138" is not "Na138", "2006", U+00AD, "2015" is not one number.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from bedside_corpus.cleaning.changes import around, in_word, point, substitute
from bedside_corpus.cleaning.symbol_fonts import BOXES, BULLET, MARKS, SHOWN

_LINE_END = re.compile("\r\n|[\r\v\f\u2028\u2029]")
_SPACE = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
"""Every Unicode space but the plain one: non-breaking, narrow, thin, ideographic."""
_CONTROL = re.compile(
    "(?:\u001b\\[[0-9;]{0,20}[A-Za-z]"
    "|[\u0000-\u0008\u000e-\u001f\u007f\u0081\u008d\u008f\u0090\u009d\ufeff\ufff9-\ufffc])+"
)
"""Controls but tab and line ends, terminal escapes, the five C1 controls that Windows-1252 does not
define, byte-order marks (where two files meet), annotations, places of objects."""
_INVISIBLE = re.compile("[\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069]+")
"""Zero-width characters and direction marks."""
_FAR = re.compile(
    "[\u0590-\u1dbf\u2190-\u2bff\u2c80-\ud7ff\uf900-\ufdff\ufe00-\ufefe\U00010000-\U0010ffff]"
)
"""Scripts and pictures whose spelling needs invisible characters: Hebrew to Thai and on, emoji."""
_SOFT_HYPHEN = re.compile("\u00ad+(?:[ \t]*\n[ \t]*(?=[^\\W_]))?")
_HYPHENATED = re.compile(r"[^\W\d_]+-[^\W\d_]+")
_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd]")
_LIGATURE = re.compile("[\ufb00-\ufb06]")


def line_ends(text: str, counts: Counter[str]) -> str:
    """One line feed for what ends a line or a page."""
    return substitute(_LINE_END, lambda _: "\n", text, counts)


def spaces(text: str, counts: Counter[str]) -> str:
    """One blank for each special space."""
    return substitute(_SPACE, lambda _: " ", text, counts)


def form(text: str, counts: Counter[str]) -> str:
    """NFC: one spelling of the same character, "u" and a diaeresis become "ü".

    NFKC would also replace look-alikes: the micro sign by the Greek letter, ² by 2, ½ by three
    characters. In a dose or a laboratory value that changes what is said: 10² would become 102.
    """
    if unicodedata.is_normalized("NFC", text):
        return text
    composed = unicodedata.normalize("NFC", text)
    for character, count in (Counter(text) - Counter(composed)).items():
        if not character.isascii():
            counts[f"{point(character)} composed"] += count
    return composed


def controls(text: str, counts: Counter[str]) -> str:
    """A blank, unless a blank or an end of the text is beside it."""

    def gap(match: re.Match[str]) -> str:
        before, after = around(match)
        return "" if (before or " ").isspace() or (after or " ").isspace() else " "

    return substitute(_CONTROL, gap, text, counts)


def invisible(text: str, counts: Counter[str]) -> str:
    """Nothing inside a word, a blank between two others; kept where a script needs it."""

    def shown(match: re.Match[str]) -> str:
        before, after = around(match)
        if _FAR.match(before) or _FAR.match(after):
            return match[0]
        inside = before.islower() and after.islower()
        joins = in_word(before) and (after.isalpha() or after.isdecimal())
        return " " if joins and not inside else ""

    return substitute(_INVISIBLE, shown, text, counts)


def soft_hyphens(text: str, counts: Counter[str]) -> str:
    """A hyphen that was one; nothing where a word was only divided, with or without a line end.

    In German letters and French abstracts 13 of 30 were real: before a digit or a capital, and in
    words that the text writes with a hyphen elsewhere.
    """
    if "\u00ad" not in text:
        return text
    written = {word.casefold() for word in _HYPHENATED.findall(text)}

    def shown(match: re.Match[str]) -> str:
        before, after = around(match)
        if not after or not (after.isalpha() or after.isdecimal()):
            return ""
        if before.islower() and after.islower():
            word = f"{_run(text, match.start(), -1)}-{_run(text, match.end(), 1)}"
            return "-" if word.casefold() in written else ""
        if in_word(before) or after.isdecimal():
            return "-" + match[0].lstrip("\u00ad")
        return ""

    return substitute(_SOFT_HYPHEN, shown, text, counts)


def private_use(text: str, counts: Counter[str]) -> str:
    """What a symbol font shows; a bullet at the start of a line; else U+FFFD, a sign unknown."""

    def shown(match: re.Match[str]) -> str:
        before, after = around(match)
        blank = (after or "\n") in " \t\u00a0\n"
        sign = BOXES.get(match[0]) if blank else None
        sign = sign or SHOWN.get(match[0], "\ufffd")
        if blank and (before or "\n") in "\n\t" and sign not in MARKS and sign != " ":
            return BULLET
        return sign

    return substitute(_PRIVATE, shown, text, counts)


def ligatures(text: str, counts: Counter[str]) -> str:
    """The letters of a Latin ligature: "ﬁ" is "fi". What typesetting made, no one wrote."""
    return substitute(_LIGATURE, lambda m: unicodedata.normalize("NFKC", m[0]), text, counts)


def _run(text: str, position: int, step: int) -> str:
    """The letters before (step -1) or from (step 1) a position, at most 40."""
    end = position
    while 0 <= (at := end if step > 0 else end - 1) < len(text) and text[at].isalpha():
        end += step
        if abs(end - position) == 40:
            break
    return text[position:end] if step > 0 else text[end:position]
