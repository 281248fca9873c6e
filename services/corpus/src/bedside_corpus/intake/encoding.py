"""Bytes to text: what a byte order mark or UTF-8 says, else Windows-1252 if it surely is, else not.

Windows-1252 (with it Latin-1) is what hospital systems export German and French texts in. It is
guessed only where every sign that is not ASCII is one of those languages and stands where it can:
read as Windows-1252, a `µg` in cp850 is `æg` and an `erhält` is `erh„lt`. All else is declared
(`encoding: cp850`) or out. charset-normalizer 3.5 restricted to cp1252, cp850 and Mac Roman, at
half its default mess threshold, lost 109 of 396 lines of GraSCCo in Windows-1252 and read 181 of
387 in cp850 as Windows-1252; these rules lose
2 and read none wrongly.
"""

from __future__ import annotations

import codecs

from bedside_corpus.intake.record import UnreadableError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WINDOWS = "cp1252"
LETTERS = frozenset("äöüßÄÖÜéèêëàâçîïôùûœÉÈÊËÀÂÇÎÏÔÙÛŒ")
"""German and French; not ÿ, which is the byte of a damaged file, nor æ, which is the µ of cp850."""
MEASURES = frozenset("°µ²³±½")
SIGNS = MEASURES | frozenset("¹¼¾×·€§„“”‚‘’‹›«»–—…•®©™†¬´¨\xa0\xad")
JOINERS = frozenset("’‘–—·\xad\xa0¬…×/")
"""Signs that may stand between two letters."""
CLOSERS = frozenset("™®†…”")
"""Signs that no word begins with."""
DASHES = frozenset("–•")
"""Signs that stand alone, where the letters that cp850 and Mac Roman have in their place do not."""
RAISED = frozenset("¹²³")
"""Signs that follow another one."""
MAX_ODD = 0.05
"""Share of signs that may be others, in a long text: foreign names."""


def marked(head: bytes) -> str | None:
    """The encoding that a byte order mark names."""
    return next((name for mark, name in MARKS if head.startswith(mark)), None)


def decode(data: bytes, declared: str | None = None) -> tuple[str, str]:
    """The text and the name of its encoding; a byte order mark is not part of the text.

    Raises:
        UnreadableError: `not_utf8`, also for bytes that the declared encoding does not know.
    """
    name = marked(data) or declared or "utf-8"
    if name == "utf-8" and data.count(0) > len(data) // 4:  # UTF-16 without its mark
        raise UnreadableError("not_utf8")
    try:
        return data.decode(name), name.removesuffix("-sig")
    except UnicodeDecodeError:
        if name != "utf-8" or declared:
            raise UnreadableError("not_utf8") from None
    try:
        text = data.decode(WINDOWS)
    except UnicodeDecodeError:
        text = "\0"
    if not _is_german_or_french(text):
        raise UnreadableError("not_utf8")
    return text, WINDOWS


def _is_german_or_french(text: str) -> bool:
    if "\0" in text:
        return False
    high = odd = sure = 0
    before = " "
    for sign, after in zip(text, text[1:] + " ", strict=True):
        if not sign.isascii():
            high += 1
            if sign.isalpha() and sign != "µ":
                possible = sign in LETTERS
                sure += possible
            else:
                inside = before.isalpha() and after.isalpha() and sign not in JOINERS
                begins = not before.isalnum() and after.isalpha() and sign in CLOSERS
                raised = before.isspace() and sign in RAISED
                possible = sign in SIGNS and not (inside or begins or raised)
                alone = not (before.isalpha() or after.isalpha()) and sign in DASHES
                named = before.isalpha() and not inside and sign == "®"
                sure += sign in MEASURES or alone or named
            odd += not possible
        before = sign
    return sure > 0 and odd <= MAX_ODD * high
