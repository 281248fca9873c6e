"""WARC and WET (ISO 28500): a document per page of a crawl."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from fastwarc.warc import ArchiveIterator, WarcRecordType

from bedside_corpus.intake.encoding import decode
from bedside_corpus.intake.fields import whole
from bedside_corpus.intake.html import page
from bedside_corpus.intake.record import (
    MAX_DOCUMENT_BYTES,
    DamagedFileError,
    Parsed,
    RawRecord,
    UnreadableError,
)
from bedside_corpus.intake.stream import GZIP
from bedside_corpus.sources import SourceFile

PAGES = ("text/html", "application/xhtml+xml")
BLOCK = 2**18
ENDS = (b"\r\n\r\n", b"\n\n")
"""Of a record, and so of a whole file."""


def read_warc(content: BinaryIO, file: SourceFile, skip: int) -> Iterator[RawRecord]:
    """One record per HTML page that a server answered with; its id is the record's.

    Raises:
        DamagedFileError: the file is cut off or damaged.
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
    source = _Unpacked(content)
    for record in ArchiveIterator(source, parse_http=False):
        if record.record_type != kind:
            if record.reader.consume() < record.content_length:
                raise _damaged(file, number)
            continue
        number += 1
        size, done = content.tell() - done, content.tell()
        if number > skip:
            yield from _document(record, parse, file, number, size)
    if not source.is_whole:
        raise _damaged(file, number)


def _document(
    record: Any,
    parse: Callable[[Any, bytes], Parsed | None],
    file: SourceFile,
    line: int,
    size: int,
) -> Iterator[RawRecord]:
    record.parse_http()
    length = record.content_length
    data = record.reader.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) < min(length, MAX_DOCUMENT_BYTES):
        raise _damaged(file, line)
    if len(data) > MAX_DOCUMENT_BYTES:
        yield RawRecord(line, size, None, "too_large")
        return
    try:
        parsed = parse(record, data)
    except UnreadableError as error:
        yield RawRecord(line, size, None, str(error))
    else:
        if parsed is not None:
            yield whole(file, parsed, line, size, record.record_id or file.place(line))


def _damaged(file: SourceFile, number: int) -> DamagedFileError:
    return DamagedFileError(
        f"{file.path}: cut off or damaged in or behind record {number} - copy the file again"
    )


class _Unpacked(io.RawIOBase):
    """The content of a crawl, which the library reads as whole however it ends."""

    def __init__(self, content: BinaryIO) -> None:
        is_packed = content.read(2) == GZIP
        content.seek(0)
        self.blocks = _unpacked(content) if is_packed else iter(lambda: content.read(BLOCK), b"")
        self.block = memoryview(b"")
        self.position = 0
        self.tail = b""
        self.is_torn = False

    @property
    def is_whole(self) -> bool:
        """Whether it ended where a record does; it is read to its end for that."""
        while self.read(BLOCK):
            pass
        return not self.is_torn and self.tail.endswith(ENDS)

    def read(self, size: int = -1) -> bytes:
        """Some bytes, none at the end. Raises nothing: the library does not survive it."""
        try:
            while not self.block:
                block = next(self.blocks)
                self.block, self.tail = memoryview(block), (self.tail + block)[-4:]
        except StopIteration:
            return b""
        except (EOFError, zlib.error):
            self.is_torn = True
            return b""
        cut = len(self.block) if size < 0 else size
        data, self.block = bytes(self.block[:cut]), self.block[cut:]
        self.position += len(data)
        return data

    def tell(self) -> int:
        """Bytes that were read of the content."""
        return self.position


def _unpacked(content: BinaryIO) -> Iterator[bytes]:
    """The content of all gzip members: a crawl has one for each record, too small for `gzip`.

    Raises:
        EOFError: the last is cut off.
        zlib.error: one is damaged, or is none.
    """
    member, rest, is_begun = zlib.decompressobj(31), b"", False
    while data := rest or content.read(BLOCK):
        is_begun = True
        yield member.decompress(data, BLOCK)
        rest = member.unconsumed_tail
        if member.eof:
            rest = member.unused_data.lstrip(b"\0")
            member, is_begun = zlib.decompressobj(31), False
    if is_begun:
        raise EOFError


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
