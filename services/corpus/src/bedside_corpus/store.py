"""The files of a corpus artifact.

Tested in tests/corpus/test_run.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bedside_core.kinds.corpus import DOCUMENTS, PARQUET, STATS, TEXT, ListedDocument
from bedside_corpus.document import Document

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field(TEXT, pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("words", pa.int64(), nullable=False),
    ]
)
ROW_GROUP_DOCUMENTS = 4096
ROW_GROUP_CHARACTERS = 16_000_000
"""Whichever is reached first closes a row group, so that long documents do not fill the memory."""


def write_documents(folder: Path, documents: Iterable[Document]) -> None:
    """Write `corpus.parquet` (texts) and `documents.jsonl` (what is in it, without the texts)."""
    with (
        pq.ParquetWriter(folder / PARQUET, SCHEMA, compression="zstd") as parquet,
        (folder / DOCUMENTS).open("w", encoding="ascii") as listing,
    ):
        for group in _row_groups(documents):
            rows = [{name: getattr(d, name) for name in SCHEMA.names} for d in group]
            parquet.write_table(pa.Table.from_pylist(rows, SCHEMA))
            for document in group:
                line = {name: getattr(document, name) for name in ListedDocument.__annotations__}
                listing.write(json.dumps(line) + "\n")


def write_stats(folder: Path, stats: dict[str, object]) -> None:
    """Write `stats.json`."""
    (folder / STATS).write_text(json.dumps(stats, indent=2) + "\n", encoding="ascii")


def _row_groups(documents: Iterable[Document]) -> Iterator[list[Document]]:
    group: list[Document] = []
    characters = 0
    for document in documents:
        group.append(document)
        characters += len(document.text)
        if len(group) == ROW_GROUP_DOCUMENTS or characters >= ROW_GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group
