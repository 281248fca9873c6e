"""Plain text: a document per file, or per line.

Tested in tests/corpus/intake/test_encoding.py, tests/corpus/intake/test_text.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from bedside_corpus.intake.encoding import decode
from bedside_corpus.intake.fields import Mapper, noted, whole
from bedside_corpus.intake.record import MAX_DOCUMENT_BYTES, Parsed, RawRecord, UnreadableError
from bedside_corpus.intake.stream import lines
from bedside_corpus.sources import SourceFile


def read_text(file: SourceFile) -> Iterator[RawRecord]:
    """One record: the file, with its source and its name, less the suffix, as id."""
    with file.path.open("rb") as content:
        data = content.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        yield RawRecord(None, file.path.stat().st_size, None, "too_large")
        return
    try:
        text, encoding = decode(data, file.source.encoding)
    except UnreadableError as error:
        yield RawRecord(None, len(data), None, str(error))
    else:
        parsed = Parsed(text, notes=noted(encoding))
        yield whole(file, parsed, None, len(data), file.stem)


def read_lines(file: SourceFile) -> Iterator[RawRecord]:
    """One record per line that is not blank, named by its place.

    Raises:
        DamagedFileError: a torn compressed stream.
    """
    mapper, size = Mapper(file), 0
    for line in lines(file.path, file.source.encoding, file.part):
        size += line.size
        if line.text is None:
            yield RawRecord(line.number, size, None, line.damage)
        elif line.text.strip():
            yield mapper.record(line.number, size, {"text": line.text}, line.encoding)
        else:
            continue
        size = 0
