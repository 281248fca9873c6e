"""XLSX: a document per row under the header of its sheet."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from bedside_corpus.intake.fields import Mapper
from bedside_corpus.intake.ooxml import refuse_encrypted
from bedside_corpus.intake.record import RawRecord, UnreadableError
from bedside_corpus.sources import SourceFile

MAX_UNPACKED_BYTES = 2**28
"""Of all parts, as the archive declares them: some million cells. One that declares less than it
holds meets the limits of its process."""


def read_xlsx(content: BinaryIO, file: SourceFile, skip: int) -> Iterator[RawRecord]:
    """One record per row that is not blank, sheet by sheet; formulas by their stored values.

    Raises:
        UnreadableError: `malformed`, `encrypted` or `too_large`.
        InputError: no sheet has the column of the texts.
    """
    refuse_encrypted(content)
    try:
        with zipfile.ZipFile(content) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise UnreadableError("too_large")
        book = openpyxl.load_workbook(content, read_only=True, data_only=True, keep_links=False)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, TypeError):
        raise UnreadableError("malformed") from None
    mapper = Mapper(file)
    line, found, seen = 0, False, []
    for sheet in book.worksheets:
        rows = sheet.iter_rows(values_only=True)
        names = [str(name).strip() if name is not None else "" for name in next(rows, ())]
        seen += [name for name in names if name]
        if not mapper.has_text(names):
            continue
        found = True
        for row in rows:
            if all(cell is None for cell in row):
                continue
            line += 1
            if line > skip:
                yield mapper.record(line, 0, _fields(names, row))
    if seen and not found:
        raise mapper.without_text(seen)


def _fields(names: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    return {name: cell for name, cell in zip(names, row, strict=False) if name}
