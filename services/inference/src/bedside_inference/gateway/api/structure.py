"""How many names and values a JSON text has, told from its bytes before anything is made of it.

A byte of text costs a nanosecond to read, check and write, a name or a value a microsecond: a body
of a mebibyte that consists of brackets holds up everybody for half a second. Each value and name
follows one of four marks, so counting those tells the cost. Within strings they are text: a letter
may have as many as it likes.
"""

from __future__ import annotations

from bedside_inference.gateway.errors import body_too_complex

MARKS = (b"{", b"[", b",", b":")
MAX_STRUCTURE = 32_768
"""Of a request; 2,048 messages with a text each have a third of it."""
FEW = 2048
"""Marks, those in strings included, that are not worth a second look."""


def require_simple(text: bytes) -> None:
    """Let a body pass that does not cost too much.

    Raises:
        ApiError: 400 if it does.
    """
    if structure(text) > MAX_STRUCTURE:
        raise body_too_complex(limit=MAX_STRUCTURE)


def structure(text: bytes) -> int:
    """Its marks outside of strings, or more than `MAX_STRUCTURE` if it has too many.

    What is no JSON gets the number of what a parser reads of it before it stumbles, or more.
    """
    if (marks := _marks(text)) <= FEW:
        return marks
    if b"\\" in text:
        # In this order, from the left: what escapes a quote is what is left of a run of them.
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    if (strings := text.count(b'"') // 2) > MAX_STRUCTURE:
        return strings  # each is a name or a value; to split there would cost what it saves
    return _marks(b"".join(text.split(b'"')[::2]))


def _marks(text: bytes) -> int:
    return sum(map(text.count, MARKS))
