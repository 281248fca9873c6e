"""Rows of a published file: CSV, TSV, JSON, JSON Lines or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedside_core.errors import InputError

Row = dict[str, Any]
KEY = "_key"
"""Where the key of a JSON object of objects stands in its row."""
SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
_LONGEST_CELL = 1 << 24
"""Characters; letters with everything that was ever found in a patient are longer than csv's own
limit of 128 KiB."""


def read_rows(path: Path, header: Sequence[str] = ()) -> Iterator[Row | None]:
    """Each row by the names of its columns; None for one that is no mapping of names to values.

    Args:
        path: its suffix says what it is.
        header: of a CSV file without one.

    Raises:
        InputError: the file cannot be read, or is of none of these kinds; nothing of it is quoted.
    """
    match path.suffix.lower():
        case ".csv":
            yield from _separated(path, ",", header)
        case ".tsv":
            yield from _separated(path, "\t", header)
        case ".jsonl":
            yield from _json_lines(read_text(path))
        case ".json":
            yield from _json(read_text(path), path)
        case ".parquet":
            yield from _parquet(path)
        case ".xlsx" | ".xls":
            raise InputError(f"{path}: a spreadsheet - save it as CSV (UTF-8) and import that")
        case _:
            raise InputError(f"{path}: of no kind that is read - {', '.join(SUFFIXES)}")


def read_text(path: Path) -> str:
    """A file's text, without a byte-order mark.

    Raises:
        InputError: unreadable, or not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 - convert it, for example with iconv") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _separated(path: Path, delimiter: str, header: Sequence[str]) -> Iterator[Row | None]:
    csv.field_size_limit(_LONGEST_CELL)
    lines = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter)
    names = list(header)
    try:
        for cells in lines:
            if not names:
                names = cells
            elif cells:
                yield dict(zip(names, cells, strict=True)) if len(cells) == len(names) else None
    except csv.Error:
        raise InputError(f"{path}, line {lines.line_num}: no valid table") from None


def _json_lines(text: str) -> Iterator[Row | None]:
    for line in text.split("\n"):
        if line.strip():
            try:
                yield _mapping(json.loads(line))
            except (ValueError, RecursionError):
                yield None


def _json(text: str, path: Path) -> Iterator[Row | None]:
    """A list of objects, or an object of objects, or, under the wrong name, JSON Lines."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        if "\n" not in text.strip():
            raise InputError(f"{path}: no valid JSON") from None
        yield from _json_lines(text)
        return
    if isinstance(found, dict) and all(isinstance(value, dict) for value in found.values()):
        yield from ({**value, KEY: key} for key, value in found.items())
    elif isinstance(found, list):
        yield from map(_mapping, found)
    else:
        # A single object on a single line is a file of JSON Lines, too.
        yield _mapping(found)


def _mapping(value: object) -> Row | None:
    return value if isinstance(value, dict) else None


def _parquet(path: Path) -> Iterator[Row | None]:
    try:
        # Not by name: pyarrow would open a name that is a URL.
        with path.open("rb") as file:
            for batch in pq.ParquetFile(file).iter_batches(batch_size=256, use_threads=False):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError):
        raise InputError(f"{path}: not a Parquet file, or a damaged one") from None
