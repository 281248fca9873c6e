"""The lines of a file that may be compressed, each of bounded length.

Tested in tests/corpus/intake/test_jsonl.py.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from bedside_corpus.intake.encoding import decode, marked
from bedside_corpus.intake.record import (
    MAX_DOCUMENT_BYTES,
    DamagedFileError,
    UnreadableError,
)
from bedside_corpus.sources import Part

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
HEAD_BYTES = 2**16


class Line(NamedTuple):
    """A line without what ends it; `text` is None where `damage` says why."""

    number: int
    size: int
    """Bytes of the file that were read since the line before."""
    text: str | None
    encoding: str = ""
    damage: str | None = None


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, io.BufferedReader]]:
    """The file, and its content unpacked; by its first bytes, not by its name.

    Raises:
        DamagedFileError: the compressed stream is torn.
    """
    with path.open("rb") as raw:
        head = raw.read(4)
        raw.seek(0)
        try:
            if head.startswith(GZIP):
                with gzip.open(raw) as content:
                    yield raw, io.BufferedReader(_Unzipped(content), HEAD_BYTES)
            elif head == ZSTD:
                import pyarrow as pa

                with pa.CompressedInputStream(raw, "zstd") as content:
                    yield raw, io.BufferedReader(content, HEAD_BYTES)
            else:
                yield raw, raw
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise _torn(path, "gzip") from None
        except OSError as error:  # Arrow's has no number
            if error.errno is not None or head != ZSTD:
                raise
            raise _torn(path, "zstd") from None


def lines(path: Path, declared: str | None, part: Part | None = None) -> Iterator[Line]:
    """Every line, also an empty one; each is decoded for itself, so that files may be mixed.

    What follows a whole gzip stream and is none is one line with the damage `trailing_bytes`.

    Args:
        path: of the file.
        declared: its encoding, where it cannot be told.
        part: what is read of one that `is_seekable`.

    Raises:
        DamagedFileError: the compressed stream is torn.
    """
    with opened(path) as (raw, content):
        head = content.peek(HEAD_BYTES)
        wide = marked(head) or declared
        source: io.BufferedReader | io.TextIOWrapper = content
        if wide and _is_wide(wide):
            source = io.TextIOWrapper(content, wide, errors="replace", newline="\n")
        elif b"\r" in head and b"\n" not in head:  # classic Mac OS; Excel still writes it
            source = io.TextIOWrapper(content, "latin-1", newline="\r")
        number = done = 0
        if part is not None:
            number, done = part.lines, content.seek(part.start)
        while part is None or done < part.end:
            line, whole = _bounded(source)
            if not line:
                break
            number += 1
            position = raw.tell()
            yield _line(number, position - done, line, whole, wide, declared)
            done = position
        if isinstance(content.raw, _Unzipped) and content.raw.has_trailing_bytes:
            yield Line(number + 1, 0, None, damage="trailing_bytes")


def is_seekable(path: Path, declared: str | None) -> bool:
    """Whether the file is its own content, in which the byte of a line feed ends every line."""
    with opened(path) as (raw, content):
        head = content.peek(HEAD_BYTES)
        wide = marked(head) or declared
        has_line_feeds = b"\n" in head or b"\r" not in head
        return content is raw and not (wide and _is_wide(wide)) and has_line_feeds


class _Unzipped(io.RawIOBase):
    """The content of all gzip members; what follows them and is none is where it ends."""

    def __init__(self, content: gzip.GzipFile) -> None:
        self.content = content
        self.has_trailing_bytes = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self.content.read1(len(buffer))
        except gzip.BadGzipFile as error:
            # Only a header that is none says so; CRC and length errors are torn streams.
            if not str(error).startswith("Not a gzipped file"):
                raise
            self.has_trailing_bytes = True
            data = b""
        buffer[: len(data)] = data
        return len(data)


def _line(
    number: int, size: int, line: bytes | str, whole: bool, wide: str | None, declared: str | None
) -> Line:
    if not whole:
        return Line(number, size, None, damage="too_large")
    if isinstance(line, str) and wide and _is_wide(wide):
        return Line(number, size, line.rstrip("\r\n"), wide)
    data = line.encode("latin-1") if isinstance(line, str) else line
    try:
        return Line(number, size, *decode(data.rstrip(b"\r\n"), declared))
    except UnreadableError as error:
        return Line(number, size, None, damage=str(error))


def _bounded(source: io.BufferedReader | io.TextIOWrapper) -> tuple[bytes | str, bool]:
    """A line, and whether it is whole; the rest of one that is too long is passed over."""
    line: bytes | str = source.readline(MAX_DOCUMENT_BYTES)
    if len(line) < MAX_DOCUMENT_BYTES:
        return line, True
    end = line[-1:]
    while end and end not in (b"\n", "\n"):
        end = source.readline(HEAD_BYTES)[-1:]
    return line, False


def _is_wide(encoding: str) -> bool:
    return "\n".encode(encoding) != b"\n" and not encoding.startswith("utf-8")


def _torn(path: Path, kind: str) -> DamagedFileError:
    return DamagedFileError(
        f"{path}: the {kind} stream is cut off or damaged - copy the file again; if it is one of "
        "several parts of a file (split), join them first: cat PARTS > FILE"
    )
