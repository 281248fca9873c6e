"""Labels that are there already: those that people gave, and those that others published.

Both name documents by the id that their source gives them (`urn:uuid:...` of FineWeb 2), by the id
that the corpus gives them, or by the SHA-256 of the cleaned text.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bedside_core.errors import InputError
from bedside_corpus.blocks.base import Block
from bedside_corpus.document import Document, Dropped
from bedside_corpus.intake.record import MAX_DOCUMENT_BYTES
from bedside_corpus.labelling.config import Published

GIVEN = "given"
"""The column of the label that people gave."""
WORDS = {
    **dict.fromkeys(("yes", "y", "true", "1", "ja", "oui"), True),
    **dict.fromkeys(("no", "n", "false", "0", "nein", "non"), False),
}
"""What people write as a label, in lower case."""


def names_of(document: Document) -> tuple[str, ...]:
    """What a file of labels may call a document; what its source calls it comes first."""
    label, _, _ = document.place.rpartition(":")
    own = document.id.removeprefix(f"{label}#")
    return (own, document.id, document.sha256)


class NamedFilter(Block):
    """Drops `not_labelled`: what a file of labels does not name; its label stays beside the rest.

    A later block may give a document another name.
    """

    name = "named"
    columns: ClassVar[Mapping[str, Literal["number", "label"]]] = {GIVEN: "label"}

    def __init__(self, labels: Mapping[str, bool]) -> None:
        super().__init__()
        self.labels = dict(labels)

    def apply(self, document: Document) -> Document:
        for name in names_of(document):
            if name in self.labels:
                given = "yes" if self.labels[name] else "no"
                return replace(document, scores={**document.scores, GIVEN: given})
        raise Dropped("not_labelled")


def read_labelled(path: Path) -> dict[str, bool]:
    """The labels of a file that people wrote, by the name of the document.

    Raises:
        InputError: it cannot be read, has no such columns, names a document twice with different
            labels, or has a label that is no yes or no; the message names the line.
    """
    where = f"corpus.annotate.labelled: {path}"
    found: dict[str, bool] = {}
    for number, row in _rows(path, where):
        name = str(row.get("id") or row.get("sha256") or "").strip()
        label = WORDS.get(str(row.get("label", "")).strip().casefold())
        if not name:
            raise InputError(f"{where}, line {number}: no id and no sha256 - name the document")
        if label is None:
            raise InputError(f"{where}, line {number}: label must be yes or no")
        if found.setdefault(name, label) is not label:
            raise InputError(f"{where}, line {number}: this document again, with another label")
    if not found:
        raise InputError(f"{where}: no labels - give each document a line")
    return found


def _rows(path: Path, where: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{where}: not UTF-8 - convert it, for example with iconv") from None
    if path.suffix in (".jsonl", ".ndjson"):
        yield from _json_lines(text, where)
        return
    csv.field_size_limit(MAX_DOCUMENT_BYTES)  # a review file may hold texts
    table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        named = set(table.fieldnames or ())
        if "label" not in named or named.isdisjoint({"id", "sha256"}):
            raise InputError(f"{where}: needs the columns label, and id or sha256")
        for row in table:
            yield table.line_num, row
    except csv.Error as error:
        raise InputError(f"{where}, line {table.line_num}: no valid CSV ({error})") from None


def _json_lines(text: str, where: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise InputError(f"{where}, line {number}: not a JSON object - mend it")
        yield number, row


def published_files(published: Published) -> list[Path]:
    """The Parquet files of published labels, each with both columns.

    Raises:
        InputError: there is none, or one cannot be read or lacks a column.
    """
    where = f"corpus.annotate.published: {published.path}"
    path = published.path
    found = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not found:
        raise InputError(f"{where}: no .parquet files - correct the path")
    for file in found:
        try:
            schema = pq.read_schema(file)
        except (OSError, pa.ArrowException):
            raise InputError(f"{where}: {file.name} is no Parquet file that can be read") from None
        for column in (published.id, published.column):
            if column not in schema.names:
                known = ", ".join(schema.names[:20])
                raise InputError(f"{where}: {file.name} has no column {column!r} - it has {known}")
    return found


def read_published(published: Published, names: Iterable[str]) -> dict[str, bool]:
    """The published labels of these documents; the file is read a group at a time.

    Raises:
        InputError: see `published_files`; or a score is no number.
    """
    wanted = pa.array(sorted(set(names)), pa.string())
    found: dict[str, bool] = {}
    for file in published_files(published):
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(columns=[published.id, published.column]):
                ids = pc.cast(batch.column(published.id), pa.string())
                here = batch.filter(pc.is_in(ids, value_set=wanted))
                scores = _numbers(here.column(published.column), published, file)
                own = pc.cast(here.column(published.id), pa.string()).to_pylist()
                for name, score in zip(own, scores, strict=True):
                    if score is not None and not math.isnan(score):
                        found[name] = score >= published.yes_from
    return found


def _numbers(column: pa.Array, published: Published, file: Path) -> list[float | None]:
    try:
        found: list[float | None] = pc.cast(column, pa.float64()).to_pylist()
    except pa.ArrowException:
        raise InputError(
            f"corpus.annotate.published: {published.column!r} of {file.name} is no number - name a "
            "column of scores"
        ) from None
    return found
