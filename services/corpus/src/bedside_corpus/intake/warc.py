"""WARC and WET (ISO 28500): a document per page of a crawl."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from fastwarc.warc import ArchiveIterator, WarcRecordType

from bedside_core.errors import InputError
from bedside_corpus.intake.encoding import decode
from bedside_corpus.intake.fields import whole
from bedside_corpus.intake.html import page
from bedside_corpus.intake.record import MAX_DOCUMENT_BYTES, Parsed, RawRecord, UnreadableError
from bedside_corpus.sources import SourceFile

PAGES = ("text/html", "application/xhtml+xml")


def read_warc(content: BinaryIO, file: SourceFile, skip: int) -> Iterator[RawRecord]:
    """One record per HTML page that a server answered with; its id is the record's.

    Raises:
        InputError: the file is cut off.
    """
    return _read(content, file, skip, WarcRecordType.response, _page)


def read_wet(content: BinaryIO, file: SourceFile, skip: int) -> Iterator[RawRecord]:
    """One record per text that was taken from a page."""
    return _read(content, file, skip, WarcRecordType.conversion, _text)


def _read(
    content: BinaryIO,
    file: SourceFile,
    skip: int,
    kind: WarcRecordType,
    parse: Callable[[Any, bytes], Parsed | None],
) -> Iterator[RawRecord]:
    done = number = 0
    for record in ArchiveIterator(content, record_types=kind, parse_http=True):
        number += 1
        if number <= skip:
            continue
        size, done = content.tell() - done, content.tell()
        length = record.content_length
        data = record.reader.read(MAX_DOCUMENT_BYTES + 1)
        if len(data) < min(length, MAX_DOCUMENT_BYTES):  # which the library does not mind
            raise InputError(
                f"{file.path}: cut off or damaged in record {number} - copy the file again"
            )
        if len(data) > MAX_DOCUMENT_BYTES:
            yield RawRecord(number, size, None, "too_large")
            continue
        try:
            parsed = parse(record, data)
        except UnreadableError as error:
            yield RawRecord(number, size, None, str(error))
            continue
        if parsed is not None:
            yield whole(file, parsed, number, size, record.record_id or file.place(number))


def _page(record: Any, data: bytes) -> Parsed | None:
    headers = record.http_headers
    if headers is None or headers.status_code != 200:
        return None
    if record.http_content_type not in PAGES:
        return None
    return page(data, record.http_charset)


def _text(record: Any, data: bytes) -> Parsed:
    spoken = (record.headers.get("WARC-Identified-Content-Language") or "").partition(",")[0]
    return Parsed(decode(data)[0], spoken)
