"""Normalisation that keeps every clinical sign.

NFC only joins what Unicode holds to be the same character in two spellings ("u" and a combining
diaeresis become "ü"). NFKC would also replace look-alikes: the micro sign µ by the Greek letter,
² by 2, ½ by three characters, ℃ by °C. In a dose or a laboratory value that changes what is said:
10² would become 102.
"""

from __future__ import annotations

import re
import unicodedata

_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
"""Every Unicode space but the plain one: non-breaking, narrow, thin, ideographic."""
_INVISIBLE = "\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
"""Soft hyphen, zero-width characters, direction marks, byte-order mark."""
_CONTROLS = "\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f"
"""C0 and C1 controls but tab, newline and the four that end a line."""

_LINE_END = re.compile("\r\n|[\r\v\f\u0085\u2028\u2029]")
_SPACE = re.compile(f"[{_SPACES}]")
_REMOVED = re.compile(f"[{_INVISIBLE}{_CONTROLS}]")
_BLANK_LINES = re.compile(r"\n{3,}")


def normalise(text: str) -> str:
    """The one spelling of a text that is stored, hashed and compared; idempotent.

    Line ends become newlines, special spaces plain ones; controls other than newline and tab and
    invisible characters go; so do blanks at line ends, blank lines beyond one, and blanks around
    the whole.
    """
    # Invisible characters go first: NFC must see a letter and its accent side by side, and a
    # carriage return its newline.
    text = _REMOVED.sub("", text)
    text = _LINE_END.sub("\n", text)
    text = _SPACE.sub(" ", text)
    text = unicodedata.normalize("NFC", text)
    text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", text).strip()
