"""The last stage: documents without repetitions to the files of the corpus.

Tested in tests/corpus/engine/test_build.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from bedside_core.artifacts import FileEntry
from bedside_core.files import Hashed
from bedside_core.kinds.corpus import ListedDocument, decisions_name
from bedside_corpus.blocks.base import Step
from bedside_corpus.blocks.heldout import Asking
from bedside_corpus.counts import Counts
from bedside_corpus.decisions import Decisions
from bedside_corpus.document import Document, Dropped
from bedside_corpus.engine.reading import documents_path, names_path
from bedside_corpus.engine.records import Record, write_record
from bedside_corpus.engine.resolving import copies_path, taken_path
from bedside_corpus.engine.shard import write_shard
from bedside_corpus.engine.spread import spread_path
from bedside_corpus.engine.tables import Scores, corpus_schema, documents_of, grouped

NAMED_SHARDS = 16
"""Shards of which names are at hand: most copies are of what stands near."""


class Deduplicating(Step):
    """Gives what the first stage kept, without copies, and with ids of their own.

    Copies are `duplicate_text` or `duplicate_near`, as `Resolving` decided; what `Spreading` left
    out is `heldout_spread`. A later document of another text whose id is taken goes by its place.
    """

    name = "deduplicating"

    def __init__(self, kept: Path, resolved: Path, asking: Asking | None) -> None:
        """Make the step.

        Args:
            kept: folder of the first stage.
            resolved: of the one that decided.
            asking: what documents were left out for.
        """
        super().__init__()
        self.kept, self.resolved, self.asking = kept, resolved, asking

    def run(self, data: None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """The documents of shard number `rank`."""
        self.counts = Counts()
        self._names = lru_cache(NAMED_SHARDS)(self._load)
        copies = {int(one["row"]): one for one in np.load(copies_path(self.resolved, rank))}
        spread = self._spread(rank)
        _, taken = self._names(rank)
        with (
            documents_path(self.kept, rank).open("rb") as file,
            pa.ipc.open_stream(file) as batches,
        ):
            for batch in batches:
                for document in documents_of(batch):
                    row = self.counts.read
                    self.counts.read += 1
                    if row in copies:
                        self.drop(self._copy(copies[row]), document.place, document)
                    elif row in spread:
                        self.drop(Dropped("heldout_spread", spread[row]), document.place, document)
                    elif row in taken:
                        self.counts.changed += 1
                        self.counts.noted["id_taken"] += 1
                        changes = {**document.changes, f"{self.name}.id_taken": 1}
                        yield replace(document, id=document.place, changes=changes)
                    else:
                        yield document

    def _spread(self, shard: int) -> dict[int, str]:
        """The rows of a shard that hold a little of something, and its name."""
        if self.asking is None:
            return {}
        rows = np.load(spread_path(self.resolved, shard)).tolist()
        return {row: self.asking.name(question) for row, question in rows}

    def _copy(self, copy: np.void) -> Dropped:
        shard, row = int(copy["of_shard"]), int(copy["of_row"])
        names, taken = self._names(shard)
        name = names.column("place" if row in taken else "id")[row].as_py()
        return Dropped("duplicate_near" if copy["near"] else "duplicate_text", by=name)

    def _load(self, shard: int) -> tuple[pa.Table, set[int]]:
        """Ids and places of a shard, mapped and not read, and which of its ids are taken."""
        names = pa.ipc.open_file(pa.memory_map(str(names_path(self.kept, shard)))).read_all()
        return names, set(np.load(taken_path(self.resolved, shard)).tolist())


class Writing(Step):
    """Writes a file of the corpus and its listing; their hashes are made on the way."""

    name = "writing"

    def __init__(
        self,
        kept: Path,
        folder: Path,
        steps: Sequence[Step],
        scores: Scores,
        tokenizers: Mapping[str, Path],
    ) -> None:
        """Make the step.

        Args:
            kept: folder of the first stage, whose decisions come first.
            folder: of this one.
            steps: those before this one, whose counts go on record.
            scores: columns that blocks add.
            tokenizers: whose tokens are counted.
        """
        super().__init__()
        self.folder, self.steps, self.scores = folder, tuple(steps), dict(scores)
        self.tokenizers = dict(tokenizers)
        self.journal = Decisions(folder, before=kept)
        for step in self.steps:
            step.decisions = self.journal

    def run(
        self, data: Iterable[Document], rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """Take all documents; nothing goes on."""
        with self.journal.opened(rank) as decided:
            documents = self._noted(data)
            record = write_files(self.folder, rank, documents, self.scores, self.tokenizers)
        entry = FileEntry(path=decisions_name(rank), size=decided.size, sha256=decided.sha256)
        outcomes = self.journal.by_source()
        record = record.model_copy(update={"decisions": entry, "outcomes": outcomes})
        write_record(self.folder, rank, record, self.steps)
        yield from ()

    def _noted(self, documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            self.journal.keep(document.place, document.source, document.id, document.changes)
            yield document


def write_files(
    folder: Path,
    number: int,
    documents: Iterable[Document],
    scores: Scores,
    tokenizers: Mapping[str, Path] | None = None,
) -> Record:
    """Write a file of the corpus and its listing; the record has no steps yet."""
    schema = corpus_schema(scores)

    def batches(listing: Hashed) -> Iterator[pa.RecordBatch]:
        return grouped(_listed(documents, listing), schema)

    return write_shard(folder, number, schema, batches, tokenizers or {})


def _listed(documents: Iterable[Document], listing: Hashed) -> Iterator[Document]:
    """Pass the documents on and write their lines."""
    for document in documents:
        line = {name: getattr(document, name) for name in ListedDocument.__annotations__}
        listing.write(json.dumps(line).encode("ascii") + b"\n")
        yield document
