"""Take away what is not text and change no clinical sign.

Changed: characters that were decoded or escaped wrongly; controls, private-use and invisible
characters, special spaces, line ends; addresses, lines that only the page needed, words divided at
line ends, surplus blanks.
Kept as they are: units, comparators, decimals with point or comma, ranges with any dash, Greek,
superscripts, fractions, accents, umlauts, quotes, dates, codes of ICD, OPS and ATC; tabs, aligned
columns, pipes, bullets and the lines of a list. A text without dirt comes back byte for byte.
Not covered: tags of HTML (the readers know the format), headers and footers that only repetition
shows, errors of optical character recognition.

The rule for all rules: what is removed never joins two runs of letters or digits, except inside a
word of small letters. Nothing here may be relied on to compare texts: for that, all of Bedside uses
`bedside_core.matching` on the text as it came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from bedside_corpus.cleaning.characters import (
    controls,
    form,
    invisible,
    ligatures,
    line_ends,
    private_use,
    soft_hyphens,
    spaces,
)
from bedside_corpus.cleaning.encoding import entities, mojibake, windows_controls
from bedside_corpus.cleaning.lines import blanks, boilerplate, hyphenation, urls

Rule = Callable[[str, Counter[str]], str]
"""A text in, the text changed by one kind of dirt out; what it changed goes into the counts."""

DECODING: dict[str, Rule] = {"reference": entities, "mojibake": mojibake}
UNPRINTABLE: dict[str, Rule] = {
    "windows_control": windows_controls,
    "line_end": line_ends,
    "private_use": private_use,
    "soft_hyphen": soft_hyphens,
    "control": controls,
    "invisible": invisible,
    "space": spaces,
}
"""For characters that `str.isprintable` denies, and U+FFFC: one fast look excuses most texts."""
WRITING: dict[str, Rule] = {
    "ligature": ligatures,
    "form": form,
    "url": urls,
    "boilerplate": boilerplate,
    "hyphenation": hyphenation,
    "blank": blanks,
}
_PASSES = 8
"""One rule may bare what an earlier one looks for: "&am", U+200B, "p;". No text of the shared data
needs more than two passes; a text made to nest deeper is left after eight, so that the time stays
linear in its length."""


class Cleaned(NamedTuple):
    """A text and what was done to it."""

    text: str
    changes: Counter[str]
    """How often, by rule and character: `soft_hyphen: U+00AD to U+002D`. Code points and kinds of
    lines, no words: the counts may go where the text may not."""


def clean(text: str) -> Cleaned:
    """Apply every rule until none changes anything; idempotent, in time linear in the length."""
    changes: Counter[str] = Counter()
    for _ in range(_PASSES):
        before = text
        text = _apply(DECODING, text, changes)
        if "\ufffc" in text or not text.replace("\n", " ").replace("\t", " ").isprintable():
            text = _apply(UNPRINTABLE, text, changes)
        text = _apply(WRITING, text, changes)
        if text == before:
            break
    return Cleaned(text, changes)


def _apply(rules: dict[str, Rule], text: str, changes: Counter[str]) -> str:
    for name, rule in rules.items():
        counts: Counter[str] = Counter()
        text = rule(text, counts)
        for label, count in counts.items():
            changes[f"{name}: {label}"] += count
    return text
