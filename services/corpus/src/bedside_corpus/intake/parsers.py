"""Which parser reads which format; all of them run in the process of `nursery.py`.

Tested in tests/corpus/intake/test_sandbox.py.
"""

from __future__ import annotations

import codecs
import encodings
import io
import logging
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO

from bedside_corpus.intake.cda import read_cda
from bedside_corpus.intake.docx import read_docx
from bedside_corpus.intake.fields import whole
from bedside_corpus.intake.html import read_html
from bedside_corpus.intake.parquet import read_parquet
from bedside_corpus.intake.pdf import read_pdf
from bedside_corpus.intake.record import DamagedFileError, Parsed, RawRecord, UnreadableError
from bedside_corpus.intake.warc import read_warc, read_wet
from bedside_corpus.intake.xlsx import read_xlsx
from bedside_corpus.intake.xml import read_xml
from bedside_corpus.sources import SourceFile

DOCUMENTS: dict[str, Callable[[BinaryIO], Parsed]] = {
    "cda": read_cda,
    "docx": read_docx,
    "html": read_html,
    "pdf": read_pdf,
}
"""A file is a document."""
CONTAINERS: dict[str, Callable[[BinaryIO, SourceFile, int], Iterator[RawRecord]]] = {
    "parquet": read_parquet,
    "warc": read_warc,
    "wet": read_wet,
    "xlsx": read_xlsx,
    "xml": read_xml,
}
"""A file holds many, of which the first so many are passed over."""


def records(content: BinaryIO, file: SourceFile, skip: int) -> Iterator[RawRecord]:
    """The records of an open file.

    Raises:
        InputError: no field for the text.
        DamagedFileError: a container is none, or is damaged.
    """
    kind = file.source.format
    if kind in CONTAINERS:
        try:
            yield from CONTAINERS[kind](content, file, skip)
        except UnreadableError as error:
            if str(error) == "malformed" and (kind != "xml" or file.source.record is not None):
                raise DamagedFileError(
                    f"{file.path}: no {kind} file, or a damaged one - copy the file again"
                ) from None
            yield RawRecord(None, 0, None, str(error))
        return
    size = content.seek(0, io.SEEK_END)
    content.seek(0)
    try:
        parsed = DOCUMENTS[kind](content)
    except UnreadableError as error:
        yield RawRecord(None, size, None, str(error))
    else:
        yield whole(file, parsed, None, size, file.stem)


def warm_up() -> None:
    """Load what the libraries load at their first use: a child can open no file."""
    logging.disable()
    for module in pkgutil.iter_modules(encodings.__path__):
        with suppress(LookupError):  # those of Windows
            codecs.lookup(module.name)
