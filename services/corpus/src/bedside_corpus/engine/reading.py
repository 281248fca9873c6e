"""The first stage: files of the sources to documents that every block has let through.

Tested in tests/corpus/engine/test_build.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa

from bedside_core.files import appearing
from bedside_core.identifiers import Identifiers
from bedside_core.licences import Use
from bedside_corpus.blocks.base import BatchBlock, Block, Step
from bedside_corpus.config import NearDuplicates
from bedside_corpus.counts import Counts
from bedside_corpus.decisions import Decisions
from bedside_corpus.document import Document, Dropped, make_document
from bedside_corpus.engine.keys import KEY, keys_path, write_keys
from bedside_corpus.engine.near import Signing
from bedside_corpus.engine.progress import Heartbeat
from bedside_corpus.engine.records import Record, write_record
from bedside_corpus.engine.shards import Shard
from bedside_corpus.engine.spread import noting, shared_path
from bedside_corpus.engine.tables import Scores, grouped, work_schema
from bedside_corpus.intake.read import read
from bedside_corpus.intake.record import RawRecord
from bedside_corpus.sources import SourceFile

KEY_BYTES = 16
NAMES = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("id", "place")])
"""Columns that are kept apart, uncompressed, to be looked up from other shards."""


class Reading(Step):
    """Reads the records of a shard's files."""

    name = "reading"

    def __init__(
        self,
        shards: Sequence[Shard],
        language: str,
        purpose: Use,
        beats: Path,
        key: Path | None = None,
    ) -> None:
        """Make nothing yet.

        Args:
            shards: of the sources.
            language: of documents that do not say theirs.
            purpose: of the corpus.
            beats: see `Heartbeat`.
            key: the house's, see `bedside_core.identifiers`; read where the step runs.
        """
        super().__init__()
        self.shards, self.language, self.purpose = tuple(shards), language, purpose
        self.beats, self.key = beats, key

    def run(self, data: None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """The documents of shard number `rank`."""
        self.counts = Counts()
        heartbeat = Heartbeat(self.beats, rank)
        for file in self.shards[rank].files:
            for record in read(file):
                self.counts.read += 1
                self.counts.noted.update(record.notes)
                heartbeat.update(record.size)
                try:
                    yield self._document(record, file)
                except Dropped as dropped:
                    self.drop(dropped, file.place(record.line))

    def _document(self, record: RawRecord, file: SourceFile) -> Document:
        if record.fields is None:
            raise Dropped(record.damage or "malformed")
        document = make_document(record.fields, file, record.line, self.language, self._names)
        if not file.source.permits(self.purpose, document.licence):
            raise Dropped("licence_forbids", document.licence)
        if file.source.fields.patient is not None and document.patient is None:
            self.counts.noted["patient unknown"] += 1
        return document

    @cached_property
    def _names(self) -> Identifiers | None:
        return None if self.key is None else Identifiers.read(self.key)


class Keeping(Step):
    """Writes the documents of a shard for the next stages, and what they compare of them."""

    name = "keeping"

    def __init__(
        self, folder: Path, steps: Sequence[Step], scores: Scores, near: NearDuplicates | None
    ) -> None:
        """`folder`: of the stage; `steps`: those before this one, whose counts go on record."""
        super().__init__()
        self.folder, self.steps, self.scores, self.near = folder, tuple(steps), dict(scores), near
        self.journal = Decisions(folder)
        for step in self.steps:
            step.decisions = self.journal

    def run(
        self, data: Iterable[Document], rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """Take all documents; nothing goes on."""
        schema = work_schema(self.scores)
        texts, ids = bytearray(), bytearray()  # not lists: a shard of short texts has a million
        data = noting(data, shared_path(self.folder, rank))
        if self.near is not None:
            data = Signing(self.near, self.folder, rank).passing(data)
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with (
            self.journal.opened(rank),
            appearing(documents_path(self.folder, rank)) as file,
            pa.ipc.new_stream(file, schema, options=options) as stream,
            appearing(names_path(self.folder, rank)) as names_file,
            pa.ipc.new_file(names_file, NAMES) as names,
        ):
            for batch in grouped(data, schema):
                stream.write_batch(batch)
                names.write_batch(batch.select(NAMES.names))
                for one in _column(batch, "sha256"):
                    texts += bytes.fromhex(one)[:KEY_BYTES]
                for one in _column(batch, "id"):
                    ids += sha256(one.encode()).digest()[:KEY_BYTES]
        for what, keys in (("text", texts), ("id", ids)):
            write_keys(keys_path(self.folder, what, rank), np.frombuffer(keys, KEY))
        write_record(self.folder, rank, Record(documents=len(texts) // KEY_BYTES), self.steps)
        yield from ()


def documents_path(folder: Path, rank: int) -> Path:
    """Where a shard's documents wait for the next stage."""
    return folder / "documents" / f"{rank:05d}.arrows"


def names_path(folder: Path, rank: int) -> Path:
    """Where the ids and places of a shard's documents are."""
    return folder / "names" / f"{rank:05d}.arrow"


def scores_of(blocks: Iterable[Block | BatchBlock]) -> Scores:
    """The columns that blocks add."""
    return {name: kind for block in blocks for name, kind in block.columns.items()}


def _column(batch: pa.RecordBatch, name: str) -> list[str]:
    found: list[str] = batch.column(name).to_pylist()
    return found
