"""HTML: a document per file."""

from __future__ import annotations

import re
from typing import BinaryIO

from lxml import html

from bedside_corpus.intake.encoding import decode
from bedside_corpus.intake.fields import noted
from bedside_corpus.intake.markup import text_of
from bedside_corpus.intake.record import MAX_DOCUMENT_BYTES, Parsed, UnreadableError

_CHARSET = re.compile(rb"""<meta[^>]{1,200}charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.I)
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
WINDOWS = {"iso-8859-1", "latin-1", "latin1", "ascii", "us-ascii"}
"""What browsers read as Windows-1252, by the WHATWG's encoding standard."""


def read_html(content: BinaryIO) -> Parsed:
    """The text of a page, without scripts, navigation and blocks of links.

    Raises:
        UnreadableError: `too_large`, `not_utf8` or `malformed`.
    """
    data = content.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise UnreadableError("too_large")
    return page(data)


def page(data: bytes, charset: str | None = None) -> Parsed:
    """The same of bytes, whose encoding a server may have named.

    Raises:
        UnreadableError: `not_utf8` or `malformed`.
    """
    text, encoding = _decode(data, charset)
    text = _DECLARATION.sub("", text).replace("\0", "")
    if not text.strip():
        return Parsed("")
    try:
        root = html.document_fromstring(text)
    except (ValueError, html.etree.ParserError):  # nothing but comments
        raise UnreadableError("malformed") from None
    return Parsed(text_of(root), root.get("lang"), noted(encoding))


def _decode(data: bytes, charset: str | None) -> tuple[str, str]:
    """UTF-8 before what is declared, which is more often wrong than UTF-8 is by chance."""
    try:
        return data.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        pass
    named = _CHARSET.search(data[:4096])
    declared = (charset or (named[1].decode() if named else "")).strip("\"' ").lower()
    try:
        return decode(data, "cp1252" if declared in WINDOWS else declared or None)
    except LookupError:
        return decode(data)
