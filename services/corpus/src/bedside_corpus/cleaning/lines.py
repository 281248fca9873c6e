"""Addresses, lines and words at line ends: what the page added to the text."""

from __future__ import annotations

import re
from collections import Counter

_HOST = r"[A-Za-z0-9\u00c0-\u024f-]+(?:\.[A-Za-z0-9\u00c0-\u024f-]+)+"
_URL = re.compile(
    rf"(?<![\w@/.-])(?:(?:https?|ftp)://|www\.){_HOST}(?::[0-9]{{1,5}}(?![0-9]))?"
    r"(?:[/?#][A-Za-z0-9\u00c0-\u024f._~%:/?#\[\]@!$&'()*+,;=-]*)?",
    re.IGNORECASE,
)
_BRACKETS = {"(": ")", "[": "]", "<": ">"}

_BOILERPLATE = re.compile(
    r"""(?P<page_number>\W{0,5}(?:Seite|Page|Blatt)[ ]?[0-9]{1,4}
        [ ]?(?:von|of|sur|/)[ ]?[0-9]{1,4}\W{0,5})
    |(?P<rights>(?:(?:©|\(c\)|Copyright)[^\n]{0,100})?
        (?:Alle[ ]Rechte[ ]vorbehalten|All[ ]rights[ ]reserved|Tous[ ]droits[ ]réservés)\W{0,5})
    |(?P<cookies>(?:Diese[ ](?:Website|Webseite|Seite)[ ](?:verwendet|nutzt)[ ]Cookies
        |This[ ](?:web)?site[ ]uses[ ]cookies|Ce[ ]site[ ]utilise[ ]des[ ]cookies
        |(?:Alle[ ])?Cookies[ ]akzeptieren|Accept[ ](?:all[ ])?cookies
        |Accepter[ ](?:tous[ ])?les[ ]cookies)\b[^\n]{0,150})
    |(?P<script>(?:Bitte[ ]aktivieren[ ]Sie[ ]JavaScript|Please[ ]enable[ ]JavaScript
        |Veuillez[ ]activer[ ]JavaScript)\b[^\n]{0,150})
    |(?P<navigation>\W{0,3}(?:(?:Zurück[ ])?nach[ ]oben|Zum[ ]Seitenanfang|Zum[ ]Inhalt[ ]springen
        |Seite[ ]drucken|Back[ ]to[ ]top|Skip[ ]to[ ](?:main[ ])?content|Print[ ]this[ ]page
        |Haut[ ]de[ ]page|Aller[ ]au[ ]contenu(?:[ ]principal)?|Imprimer[ ]cette[ ]page)\W{0,3})""",
    re.IGNORECASE | re.VERBOSE,
)
"""Lines that say nothing but where a page stands, in German, English and French."""
_BOILERPLATE_LENGTH = 200

_SMALL = "a-zß-öø-ÿœ"
_DIVIDED = re.compile(f"(?<=[{_SMALL}][{_SMALL}])-\n(?=[{_SMALL}][{_SMALL}])")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_LAST = re.compile(r"[^\W\d_]+\Z")
_NEXT = re.compile(r"[^\W\d_]+(?=(.?))", re.DOTALL)
_BLANK_LINES = re.compile(r"\n{3,}")
_WRAPPED = 25
"""Characters from which a line was broken because it was full. A shorter one is an entry of a list
or table, where "Leuko-" may say that a test was negative."""
_SIGNED = frozenset("-+:=")
"""After the word of the next line: that line is a list of findings."""
_SUSPENDED = frozenset(
    {"und", "oder", "bzw", "sowie", "als", "bis", "noch", "wie", "and", "or", "to", "et", "ou"}
)
"""Before these the hyphen stands for the end of a word: "Herz-\nund Lungengeräusche"."""
_FIRST = frozenset(
    {"non", "self", "well", "long", "short", "high", "low", "follow", "peut", "rendez", "celui"}
)
_SECOND = frozenset({"elle", "elles", "ils", "vous", "nous", "même", "mêmes", "être"})
"""Parts of words that are written with a hyphen in English and French."""


def urls(text: str, counts: Counter[str]) -> str:
    """Addresses go, with the brackets around them; a blank is left where two runs would meet."""
    if not ("://" in text or "www." in text or "WWW." in text or "Www." in text):
        return text
    pieces: list[str] = []
    end = 0
    for match in _URL.finditer(text):
        start = match.start()
        stop = start + _length(match[0])
        if start > end and text[stop : stop + 1] == _BRACKETS.get(text[start - 1]):
            start, stop = start - 1, stop + 1
        before, after = text[start - 1 : start], text[stop : stop + 1]
        if before == " " and start > end and after in {"", *" \n.,;:!?)"}:
            start -= 1
        pieces += text[end:start], " " if before.isalnum() and after.isalnum() else ""
        end = stop
        counts["url"] += 1
    return "".join([*pieces, text[end:]])


def boilerplate(text: str, counts: Counter[str]) -> str:
    """Lines go that are nothing but page numbers, rights, cookies, scripts or navigation."""
    kept = []
    for line in text.split("\n"):
        found = len(line) <= _BOILERPLATE_LENGTH and _BOILERPLATE.fullmatch(line.strip())
        if found:
            counts[f"line {found.lastgroup}"] += 1
        else:
            kept.append(line)
    return "\n".join(kept)


def hyphenation(text: str, counts: Counter[str]) -> str:
    """A word that a full line divided is joined; with its hyphen if the text writes it so."""
    if "-\n" not in text:
        return text
    written = {word.casefold() for word in _WORD.findall(text)}

    def joined(match: re.Match[str]) -> str:
        start, end = match.span()
        line = start - text.rfind("\n", 0, start) - 1
        first = _LAST.search(text, max(start - 40, 0), start)
        second = _NEXT.match(text, end)
        if first is None or second is None or second[0] in _SUSPENDED or second[1] in _SIGNED:
            return match[0]
        before, after = first[0].casefold(), second[0].casefold()
        if before in _FIRST or after in _SECOND or f"{before}-{after}" in written:
            counts["line end after hyphen"] += 1
            return "-"
        if line < _WRAPPED and before + after not in written:
            return match[0]
        counts["hyphen at line end"] += 1
        return ""

    return _DIVIDED.sub(joined, text)


def blanks(text: str, counts: Counter[str]) -> str:
    """Blanks at line ends, blank lines beyond one, and blanks around the whole go.

    Tabs at the end of a row are its empty cells and stay; so does the indent of the first line
    where it belongs to a table or to an indented text.
    """
    if " \n" in text or "\t\n" in text or text[-1:] in {" ", "\t"}:
        lines = text.split("\n")
        bare = [line.rstrip(" \t") for line in lines]
        rows = ["\t" in line.lstrip("\t") for line in bare]
        for number, line in enumerate(lines):
            kept = bare[number]
            if kept and "\t" in line[len(kept) :] and any(rows[max(number - 1, 0) : number + 2]):
                kept += "\t" * line.count("\t", len(kept))
            if kept != line:
                counts["blanks at line end"] += 1
                lines[number] = kept
        text = "\n".join(lines)
    if "\n\n\n" in text:
        text, more = _BLANK_LINES.subn("\n\n", text)
        counts["blank lines"] += more
    if text[:1] not in {"\n", " ", "\t"} and text[-1:] != "\n":
        return text
    inner = text.strip("\n")
    first = inner.split("\n", 1)[0]
    if "\t" not in first.strip("\t") and "\n " not in inner and "\n\t" not in inner:
        inner = inner.lstrip(" \t")
    counts["blanks around"] += inner != text
    return inner


def _length(url: str) -> int:
    """Without the punctuation that ends its sentence."""
    length = len(url)
    open_ = {")": url.count("("), "]": url.count("[")}
    closed = {")": url.count(")"), "]": url.count("]")}
    while (last := url[length - 1]) in ".,;:!?'" or closed.get(last, 0) > open_.get(last, 0):
        closed[last] = closed.get(last, 0) - 1
        length -= 1
    return length
