"""CSV: a document per row under a header."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain
from typing import Literal

from bedside_corpus.intake.fields import Mapper
from bedside_corpus.intake.record import MAX_DOCUMENT_BYTES, DamagedFileError, RawRecord
from bedside_corpus.intake.stream import Line, lines
from bedside_corpus.sources import SourceFile

DELIMITERS = ";,\t|"


def read_csv(file: SourceFile) -> Iterator[RawRecord]:
    """One record per row; the delimiter is the one that makes the most columns of the first line.

    A row with another number of cells than the header, or than `columns`, is `malformed`: which
    cell is which cannot be known.

    Raises:
        InputError: no column for the text.
        DamagedFileError: a quote that is never closed, or a torn stream.
    """
    mapper = Mapper(file)
    csv.field_size_limit(MAX_DOCUMENT_BYTES)
    found = lines(file.path, file.source.encoding)
    head = next(found, None)
    if head is None:
        return
    first = head.text or ""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if file.source.quotes else csv.QUOTE_NONE

    def cells(delimiter: str) -> list[str]:
        return next(csv.reader([first], delimiter=delimiter, quoting=quoting), [])

    delimiter = max(DELIMITERS, key=lambda sign: len(cells(sign)))
    columns = file.source.columns
    names = list(columns or cells(delimiter))
    mapper.require(names)
    source = _Lines(chain([head], found) if columns else found)
    rows = csv.reader(source, delimiter=delimiter, strict=True, quoting=quoting)
    while True:
        source.begin()
        try:
            row = next(rows, None)
        except csv.Error:
            raise DamagedFileError(
                f"{file.path}: the row that begins in line {source.row} cannot be read: a quote is "
                "not closed, or stands inside a cell - repair it, or set quotes: false for source "
                f"{file.source.name!r} if its quotes enclose nothing"
            ) from None
        if row is None:
            return
        if source.damage is not None:
            yield RawRecord(source.row, source.size, None, source.damage)
        elif not any(row):
            continue
        elif len(row) != len(names):
            yield RawRecord(source.row, source.size, None, "malformed")
        else:
            fields = dict(zip(names, row, strict=True))
            yield mapper.record(source.row, source.size, fields, source.encoding)


class _Lines:
    """The lines as the csv module wants them, and what is known of those of the row at hand."""

    def __init__(self, found: Iterator[Line]) -> None:
        self.found = found
        self.begin()

    def begin(self) -> None:
        """Forget the lines of the row before."""
        self.row: int | None = None
        self.size = 0
        self.encoding = ""
        self.damage: str | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.found)
        self.row = self.row or line.number
        self.size += line.size
        self.damage = self.damage or line.damage
        if line.encoding != "utf-8":
            self.encoding = line.encoding or self.encoding
        return (line.text or "") + "\n"
