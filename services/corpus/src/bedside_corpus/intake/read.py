"""The way in: the records of a file, whatever its format.

Tested in tests/corpus/intake/test_jsonl.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bedside_core.errors import InputError
from bedside_corpus.intake.csv_table import read_csv
from bedside_corpus.intake.jsonl import read_jsonl
from bedside_corpus.intake.parts import joined
from bedside_corpus.intake.record import DamagedFileError, RawRecord
from bedside_corpus.intake.sandbox import parse
from bedside_corpus.intake.text import read_lines, read_text
from bedside_corpus.sources import SourceFile

READERS: dict[str, Callable[[SourceFile], Iterator[RawRecord]]] = {
    "jsonl": read_jsonl,
    "csv": read_csv,
    "text": read_text,
    "lines": read_lines,
}
"""Formats that the standard library reads, line by line; all others have a process of their own."""


def read(file: SourceFile) -> Iterator[RawRecord]:
    """The records of a file, in order, one at a time.

    A damaged document is a record with a reason, and its neighbours survive. Damage to a file of
    many (a torn gzip stream, a Parquet file without its footer) is an error instead: how much is
    missing cannot be known. Where the source keeps what can be read of it, `cut_off` stands for the
    rest.

    Raises:
        InputError: the file cannot be read, is damaged or has no field for the text.
    """
    try:
        records = READERS.get(file.source.format, parse)(file)
        yield from joined(records, file) if file.source.join_parts else records
    except DamagedFileError as error:
        if file.source.damaged_files == "fail":
            raise InputError(
                f"{error}; or take it out, or set damaged_files: keep for source "
                f"{file.source.name!r}, which keeps what can be read of it"
            ) from None
        yield RawRecord(None, 0, None, "cut_off")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{file.path}: cannot be read ({reason})") from None
