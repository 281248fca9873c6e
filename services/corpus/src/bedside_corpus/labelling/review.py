"""The file that a person fills in, to say of some documents what they are.

    labels,sha256,id,text,label,by

`labels` names the labelled set by its digest; `text` is empty unless it was asked for; what the set
itself says is not in the file, so that nobody is led by it. A disputed document, of which that is
the point, has it in `said`. Half of the documents are of each class, in an order drawn by lot.
"""

from __future__ import annotations

import csv
import heapq
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from bedside_core.artifacts import Artifact
from bedside_core.errors import InputError
from bedside_core.files import write_atomic
from bedside_core.kinds.corpus import text_sha256
from bedside_core.kinds.labels import PARTS, LabelledDocument, read_part
from bedside_corpus.intake.record import MAX_DOCUMENT_BYTES
from bedside_corpus.labelling.given import WORDS
from bedside_corpus.phi.quarantine import harmless

COLUMNS = ("labels", "sha256", "id", "text", "said", "label", "by")
SKIPPED = "skip"
"""Written for a document that a person saw and cannot tell."""
MODE = 0o600


@dataclass(frozen=True, slots=True)
class Row:
    """A document in a review file."""

    labels: str
    sha256: str
    id: str
    text: str = ""
    said: str = ""
    """What set and people said, of a disputed one."""
    label: str = ""
    """What the person says: yes, no, skip; empty where it was not looked at."""
    by: str = ""

    @property
    def answer(self) -> bool | None:
        """Yes or no; None where it has none."""
        return WORDS.get(self.label.casefold())


def documents_of(labels: Artifact) -> Iterator[LabelledDocument]:
    """Those of both parts.

    Raises:
        ArtifactError: a file was changed.
    """
    for part in PARTS:
        yield from read_part(labels, part)


def drawn_rows(labels: Artifact, documents: int, *, text: bool) -> list[Row]:
    """Rows of documents drawn by lot, half of them of each class; fewer where a class has fewer."""

    def lot(one: tuple[str, Row]) -> str:
        return one[0]

    def numbered(label: bool) -> Iterator[tuple[str, Row]]:
        for document in documents_of(labels):
            if document.label is label:
                digest = text_sha256(document.text)
                row = Row(labels.digest, digest, document.id, document.text if text else "")
                yield sha256(f"review\0{digest}".encode()).hexdigest(), row

    half = (documents + 1) // 2, documents // 2
    chosen = [
        one
        for label, size in zip((True, False), half, strict=True)
        for one in heapq.nsmallest(size, numbered(label), key=lot)
    ]
    return [row for _, row in sorted(chosen, key=lot)]


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a review file that its owner alone may read.

    Raises:
        ArtifactError: it cannot be written.
    """
    out = io.StringIO(newline="")
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in rows:
        table.writerow([harmless(getattr(row, name)) for name in COLUMNS])
    write_atomic(path, out.getvalue().encode(), mode=MODE)


def read_rows(path: Path) -> list[Row]:
    """The rows of a review file, as a spreadsheet may have saved it.

    Raises:
        InputError: it cannot be read, has other columns, names no labelled set or several, or has
            an answer that is none; the message names the line.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 - save it as CSV in UTF-8") from None
    header = content.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    csv.field_size_limit(MAX_DOCUMENT_BYTES)
    table = csv.DictReader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    rows = []
    try:
        if not {"labels", "sha256", "label"} <= set(table.fieldnames or ()):
            raise InputError(f"{path}: needs the columns labels, sha256 and label as written")
        for found in table:
            row = Row(**{name: (found.get(name) or "").strip() for name in COLUMNS})
            if row.label and row.answer is None and row.label.casefold() != SKIPPED:
                raise InputError(f"{path}, line {table.line_num}: label must be yes, no or skip")
            rows.append(row)
    except csv.Error as error:
        raise InputError(f"{path}, line {table.line_num}: no valid CSV ({error})") from None
    if len({row.labels for row in rows}) != 1:
        raise InputError(f"{path}: names no labelled set, or several - copy the file as written")
    return rows


def answered_by(path: Path, rows: Sequence[Row]) -> str:
    """Who filled a file in; empty where nobody did.

    Raises:
        InputError: several people did.
    """
    people = {row.by for row in rows if row.label and row.by}
    if len(people) > 1:
        raise InputError(f"{path}: filled in by several people - give each a copy of their own")
    return next(iter(people), "")


def answered(row: Row, label: str, by: str) -> Row:
    """The row with an answer."""
    return replace(row, label=label, by=by)
