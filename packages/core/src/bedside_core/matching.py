"""The canonical form of a text for matching: the words that two copies of one text share.

It finds a held-out text in a corpus, whoever cleaned either of them, so it knows no cleaner: a
service may clean as it likes, and two services that match never disagree. It is never stored in
place of a text, trained on or shown.

A word is a run of letters or a run of digits, in one Unicode form and one case. Everything else
only separates: blanks, line ends, quotes, punctuation, signs ("5mg" and "5 mg" are equal, "1,2" and
"1.2", an apostrophe of any kind). As in GPT-3's search for test sets in its training data (Brown et
al. 2020, appendix C), case and punctuation do not count.

Numbers keep their digits and their limits, so that another dose is another text: "3-5" is not "35",
"1,2" is not "12". Three things that a cleaner must keep apart are one here, on purpose: look-alikes
that compatibility normalisation folds (10\u00b2 and 102, because copies go through such a fold),
comparators and other signs (< 5 and > 5), and a word with and without its hyphen. A text that
differs from a held-out one in no more than these must not be trained on either.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256

VERSION = 2
"""Of the form. Hashes of two versions cannot be compared: a change of any rule here counts up."""

_UNSEEN = re.compile(
    "[\u0000-\u0008\u000e-\u001f\u007f\u00ad\u034f\u0600-\u0605\u061c\u06dd"
    "\u070f\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Controls but tab and line ends, soft hyphens, zero-width characters, direction marks, byte-order
marks, variation selectors: they go without leaving a gap."""
_LATIN_1 = re.compile("[\u0080-\u0084\u0086-\u009f]")
"""Controls that are Windows-1252 read as Latin-1: U+0096 is a dash, which keeps 3 from 5. The five
that it does not have go like the others."""
_HYPHEN = re.compile("[-\u2010-\u2015\u2212](?<=[^\\W\\d_].)\\s*(?=[^\\W\\d_])", re.DOTALL)
"""A dash between letters, with or without a line end after it: "Schwanger-\\nschaft". It joins
whatever the letters are, because a copy may have lost the line end or the dash. Between digits and
after a blank it separates."""
_WORD = re.compile("[^\\W\\d_\u02bc]+(?:[\u0300-\u036f]+[^\\W\\d_\u02bc]*)*|\\d+")
"""Letters with the accents that have no composed character, or digits. U+02BC is an apostrophe."""


def canonical(text: str) -> str:
    """The words of a text, one blank between two; idempotent.

    Scripts that write vowels as marks of their own (Devanagari, Thai) are cut at them, on both
    sides alike.
    """
    folded = _fold(_UNSEEN.sub("", _LATIN_1.sub(_windows_1252, text)))
    return " ".join(_WORD.findall(_HYPHEN.sub("", folded)))


def digest(form: str) -> str:
    """SHA-256 (hex) of a canonical form; equal for all copies of one text."""
    return sha256(form.encode()).hexdigest()


def _windows_1252(found: re.Match[str]) -> str:
    return found[0].encode("latin-1").decode("cp1252", errors="ignore")


def _fold(text: str) -> str:
    """Compatibility composition and case folding, until neither changes anything."""
    if text.isascii():
        return text.lower()
    folded = text
    while True:
        text = folded
        # Folding a case can take a text out of its Unicode form, and the other way round.
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        if folded == text:
            return folded
