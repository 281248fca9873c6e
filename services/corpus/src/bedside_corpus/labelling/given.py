"""Labels that are there already: those that people gave, and those that others published.

Both name documents by the id that their source gives them (`urn:uuid:...` of FineWeb 2), by the id
that the corpus gives them, or by the SHA-256 of the cleaned text.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
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
PUBLISHED = "corpus.annotate.published"
"""Where a config names scores to learn from."""
WORDS = {
    **dict.fromkeys(("yes", "y", "true", "1", "ja", "oui"), True),
    **dict.fromkeys(("no", "n", "false", "0", "nein", "non"), False),
}
"""What people write as a label, in lower case."""


def names_of(document: Document) -> tuple[str, ...]:
    """What a file of labels may call a document; what its source calls it comes first."""
    return (own_name(document), document.id, document.sha256)


def own_name(document: Document) -> str:
    """What its source calls a document; without an id of its own, its place."""
    label, _, _ = document.place.rpartition(":")
    return document.id.removeprefix(f"{label}#")


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


def published_files(published: Published, setting: str) -> dict[str, Path]:
    """The Parquet files of published scores, by their names within the folder.

    Args:
        published: where they are.
        setting: its name in the config, for messages.

    Raises:
        InputError: there is none, or one cannot be read, lacks a column or has one of another kind.
    """
    where, path = f"{setting}: {published.path}", published.path
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
        ids, scores = (pa.nulls(0, schema.field(n).type) for n in (published.id, published.column))
        _scored(ids, scores, published, setting, file)
    root = path if path.is_dir() else path.parent
    return {file.relative_to(root).as_posix(): file for file in found}


def scores_of(file: Path, published: Published, setting: str) -> Iterator[pa.RecordBatch]:
    """The columns `id` and `score` of a published file, without rows that lack one of them.

    Scores have single precision, as in a corpus; a limit must be rounded alike (`single`).

    Raises:
        InputError: the file is damaged, an id is no text or number, or a score is no number.
    """
    columns = [published.id, published.column]
    try:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(columns=columns):
                ids, scores = (batch.column(column) for column in columns)
                yield _scored(ids, scores, published, setting, file)
    except MemoryError:  # pyarrow's is one of its other exceptions as well
        raise
    except (OSError, pa.ArrowException):
        raise InputError(
            f"{setting}: {file.name} is damaged, or cannot be read - copy it again"
        ) from None


def single(limit: float) -> float:
    """The limit in the precision of scores, so that 0.7 is reached by 0.7."""
    return float(np.float32(limit))


def _scored(
    ids: pa.Array, scores: pa.Array, published: Published, setting: str, file: Path
) -> pa.RecordBatch:
    try:
        names = pc.cast(ids, pa.string())
    except pa.ArrowException:
        raise InputError(
            f"{setting}: {published.id!r} of {file.name} is no id - name a column of text"
        ) from None
    try:
        numbers = pc.cast(_numbers(scores, published.words), pa.float32(), safe=False)
    except (pa.ArrowException, TypeError):
        raise InputError(
            f"{setting}: {published.column!r} of {file.name} is no number - name a column of "
            "scores, or set words"
        ) from None
    batch = pa.RecordBatch.from_arrays([names, numbers], ["id", "score"])
    known = pc.and_(pc.is_valid(names), pc.invert(pc.is_nan(numbers)))
    return batch.filter(known, null_selection_behavior="drop")


def _numbers(column: pa.Array, words: Mapping[str, float]) -> pa.DoubleArray:
    if not words:
        return pc.cast(column, pa.float64())

    def number(cell: str | list[str] | None) -> float | None:
        if cell is None:
            return None
        found = (words.get(word, 0.0) for word in ([cell] if isinstance(cell, str) else cell))
        return max(found, default=0.0)

    return pa.array([number(cell) for cell in column.to_pylist()], pa.float64())


def read_published(published: Published, names: Iterable[str], setting: str) -> dict[str, bool]:
    """The published labels of these documents; one with two different scores has none.

    Raises:
        InputError: see `published_files` and `scores_of`.
    """
    wanted = pa.array(sorted(set(names)), pa.string())
    found: dict[str, float] = {}
    disputed: set[str] = set()
    for file in published_files(published, setting).values():
        for batch in scores_of(file, published, setting):
            here = batch.filter(pc.is_in(batch.column("id"), value_set=wanted))
            for name, score in zip(*(column.to_pylist() for column in here.columns), strict=True):
                if found.setdefault(name, score) != score:
                    disputed.add(name)
    yes_from = single(published.yes_from)
    return {name: score >= yes_from for name, score in found.items() if name not in disputed}
