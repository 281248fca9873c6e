"""Readers: one generator per format, from a file to records.

A record is either the fields of one document or the reason why there are none, so that a damaged
line is counted and its neighbours survive. Damage to a whole container (a torn gzip stream, a
Parquet file without its footer) is an error instead: how much is missing cannot be known.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedside_core.errors import InputError
from bedside_corpus.sources import SourceFile

PARQUET_BATCH_ROWS = 256
COLUMNS = ("text", "id", "licence", "language")


@dataclass(frozen=True, slots=True)
class RawRecord:
    """What one line, row or file holds."""

    line: int | None
    """Line or row, from 1; None where the file is the document."""
    size: int
    """Bytes of the file that were read for it, for the progress bar."""
    fields: Mapping[str, Any] | None
    """As found, unchecked."""
    damage: str | None = None
    """Why there are no fields: `not_utf8` or `malformed`."""


def read(file: SourceFile) -> Iterator[RawRecord]:
    """The records of a file, in order, one at a time.

    Raises:
        InputError: the file cannot be read, is a torn gzip stream or not a Parquet file.
    """
    reader = {"jsonl": read_jsonl, "parquet": read_parquet, "text": read_text}[file.source.format]
    try:
        yield from reader(file)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{file.path}: cannot be read ({reason})") from None


def read_jsonl(file: SourceFile) -> Iterator[RawRecord]:
    """One record per line that is not blank; `.gz` is unpacked on the way."""
    packed = file.path.suffix == ".gz"
    with file.path.open("rb") as raw, gzip.open(raw) if packed else nullcontext(raw) as stream:
        done = 0
        try:
            for number, line in enumerate(stream, start=1):
                position = raw.tell()
                if line.strip():
                    fields, damage = _parse_line(line)
                    yield RawRecord(number, position - done, fields, damage)
                    done = position
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise InputError(
                f"{file.path}: the gzip stream is cut off or damaged - copy the file again"
            ) from None


def read_parquet(file: SourceFile) -> Iterator[RawRecord]:
    """One record per row; only our columns are read, a batch of rows at a time.

    Raises:
        InputError: not a Parquet file, a damaged one, or one without a column `text`.
    """
    try:
        with pq.ParquetFile(file.path, page_checksum_verification=True) as table:
            columns = [name for name in COLUMNS if name in table.schema_arrow.names]
            if "text" not in columns:
                raise InputError(f"{file.path}: no column 'text' - rename the column of the texts")
            size = file.path.stat().st_size // max(1, table.metadata.num_rows)
            row = 0
            for batch in table.iter_batches(PARQUET_BATCH_ROWS, columns=columns):
                for index in range(batch.num_rows):
                    row += 1
                    fields, damage = _parse_row(batch, index)
                    yield RawRecord(row, size, fields, damage)
    except MemoryError:  # pyarrow's is one of its other exceptions as well
        raise
    # pyarrow raises a bare OSError, without an error number, for a page that does not unpack.
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"{file.path}: not a Parquet file, or a damaged one - copy the file again"
        ) from None


def read_text(file: SourceFile) -> Iterator[RawRecord]:
    """One record: the file, with its source and its name, less the suffix, as id."""
    data = file.path.read_bytes()
    try:
        fields = {"text": data.decode("utf-8"), "id": file.label.removesuffix(".txt")}
    except UnicodeDecodeError:
        yield RawRecord(None, len(data), None, "not_utf8")
    else:
        yield RawRecord(None, len(data), fields)


def _parse_line(line: bytes) -> tuple[dict[str, Any] | None, str | None]:
    try:
        # Not json.loads(bytes), which would guess UTF-16; `-sig` forgives a BOM on line 1.
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None, "not_utf8"
    except (ValueError, RecursionError):
        return None, "malformed"
    return (value, None) if isinstance(value, dict) else (None, "malformed")


def _parse_row(batch: pa.RecordBatch, index: int) -> tuple[dict[str, Any] | None, str | None]:
    # Value by value: one string that is not UTF-8 would fail the conversion of the whole batch.
    try:
        return {name: batch.column(name)[index].as_py() for name in batch.schema.names}, None
    except UnicodeDecodeError:
        return None, "not_utf8"
