"""Documents as rows of Arrow tables, on the way and in the corpus.

Tested in tests/corpus/engine/test_build.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import pyarrow as pa

from bedside_core.kinds.corpus import TEXT
from bedside_corpus.decisions import CHANGES
from bedside_corpus.document import Document

STORED = ("id", TEXT, "source", "licence", "language")
WHOSE = ("patient", "document")
"""Null where nobody said."""
HASHES = ("sha256", "matching_sha256")
GROUP_DOCUMENTS = 4096
GROUP_CHARACTERS = 16_000_000
"""Whichever is reached first closes a group, so that long documents do not fill the memory."""

Scores = Mapping[str, Literal["number", "label"]]
"""Columns that blocks add."""


def corpus_schema(scores: Scores) -> pa.Schema:
    """The columns of a file of the corpus."""
    return _schema(STORED, {"words": pa.int64()}, scores)


def work_schema(scores: Scores) -> pa.Schema:
    """Those of a document on the way: also its place, its changes, and its hashes.

    Those cost more to make than to store.
    """
    schema = _schema((*STORED, "place", *HASHES), {"changes": CHANGES}, scores)
    return schema.append(pa.field("trace", pa.string()))


def grouped(documents: Iterable[Document], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The documents in groups that are held in memory at once."""
    group: list[Document] = []
    characters = 0
    for document in documents:
        group.append(document)
        characters += len(document.text)
        if len(group) == GROUP_DOCUMENTS or characters >= GROUP_CHARACTERS:
            yield _batch(group, schema)
            group, characters = [], 0
    if group:
        yield _batch(group, schema)


def documents_of(batch: pa.RecordBatch) -> Iterator[Document]:
    """The documents of a group of `work_schema`."""
    columns = batch.to_pydict()
    plain = {name: columns.pop(name) for name in (*STORED, *WHOSE, "place", "trace")}
    plain["changes"] = [dict(pairs) for pairs in columns.pop("changes")]
    hashes = {name: columns.pop(name) for name in HASHES}
    for row in range(batch.num_rows):
        scores = {name: values[row] for name, values in columns.items()}
        document = Document(**{n: values[row] for n, values in plain.items()}, scores=scores)
        # They are cached properties: what is there is not computed again.
        vars(document).update((n, values[row]) for n, values in hashes.items())
        yield document


def _schema(strings: Iterable[str], others: Mapping[str, pa.DataType], scores: Scores) -> pa.Schema:
    types: dict[str, pa.DataType] = {**dict.fromkeys(strings, pa.string()), **others}
    added = {"number": pa.float32(), "label": pa.string()}
    return pa.schema(
        [pa.field(name, kind, nullable=False) for name, kind in types.items()]
        + [pa.field(name, pa.string()) for name in WHOSE]
        + [pa.field(name, added[kind]) for name, kind in scores.items()]
    )


def _batch(group: list[Document], schema: pa.Schema) -> pa.RecordBatch:
    def column(name: str) -> list[Any]:
        if hasattr(Document, name) or name in Document.__dataclass_fields__:
            return [getattr(document, name) for document in group]
        return [document.scores.get(name) for document in group]

    return pa.RecordBatch.from_pydict({name: column(name) for name in schema.names}, schema)
