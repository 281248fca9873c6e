"""Documents that a file has in parts: a row for each sentence, or each word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import groupby

from bedside_corpus.intake.licence import tighten
from bedside_corpus.intake.record import MAX_DOCUMENT_BYTES, RawRecord
from bedside_corpus.sources import SourceFile


def joined(records: Iterable[RawRecord], file: SourceFile) -> Iterator[RawRecord]:
    """Neighbouring records of one source document as one.

    It stands where its first part does and has its id, under the licences of all parts. One with a
    part that is no text has none itself. A record that names no document, or cannot be read, stays
    what it is and ends the document before it.
    """
    for name, parts in groupby(records, key=_document):
        if name is None:
            yield from parts
        else:
            yield _join(parts, file.source.join)


def _document(record: RawRecord) -> str | None:
    return None if record.fields is None else record.fields.get("document")


def _join(parts: Iterable[RawRecord], join: str) -> RawRecord:
    texts: list[str] = []
    licences: list[str | None] = []
    length = size = 0
    notes: dict[str, None] = {}
    first, is_whole = None, True
    for part in parts:
        first = first or part
        size += part.size
        notes |= dict.fromkeys(part.notes)
        own = part.fields or {}
        text, licence = own.get("text"), own.get("licence")
        is_whole = is_whole and isinstance(text, str) and isinstance(licence, str | None)
        length += len(text) + len(join) if isinstance(text, str) else 0
        if is_whole and length <= MAX_DOCUMENT_BYTES:  # of a larger one nothing more is kept
            texts.append(str(text))
            licences.append(licence)
    line = first.line if first else None
    if length > MAX_DOCUMENT_BYTES:
        return RawRecord(line, size, None, "too_large")
    fields = dict((first and first.fields) or {})
    fields["text"] = join.join(texts) if is_whole else None
    fields["licence"] = reduce(tighten, dict.fromkeys(licences)) if licences else None
    known = {key: value for key, value in fields.items() if value is not None}
    return RawRecord(line, size, known, notes=tuple(notes))
