"""An even sample of the documents that the blocks let through, however many there are.

Each text has a key, a hash of it and the seed; the sample is the texts with the smallest keys, over
all shards. So every text is as likely as any other, equal texts are one, and neither the order, the
number of workers nor a kill changes which are drawn. Memory holds keys alone, and the disk about
`size * (1 + ln(all / size))` documents: what cannot be among the smallest any more is not written.

    ROOM/draw/documents/     per shard, those that could be in it
    ROOM/draw/smallest.npy   the smallest keys of all shards that are done
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bedside_core.files import appearing, locked
from bedside_corpus.blocks.base import Step
from bedside_corpus.document import Document
from bedside_corpus.engine.reading import documents_path
from bedside_corpus.engine.records import Record, write_record
from bedside_corpus.engine.tables import Scores, documents_of, grouped, work_schema

Keys = NDArray[np.uint64]


def key(digest: str, seed: int) -> int:
    """The key of a text with this SHA-256 (hex): 64 bits; two texts in 2^64 share one."""
    return int.from_bytes(sha256(f"{seed}\0{digest}".encode()).digest()[:8], "big")


class Drawing(Step):
    """Keeps what could be among the smallest of all shards; the end of a pipeline."""

    name = "drawing"

    def __init__(
        self, folder: Path, steps: Sequence[Step], scores: Scores, *, size: int, seed: int
    ) -> None:
        """`folder`: of the stage; `steps`: those before, whose counts go on record."""
        super().__init__()
        self.folder, self.steps, self.scores = folder, tuple(steps), dict(scores)
        self.size, self.seed = size, seed

    def run(
        self, data: Iterable[Document], rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """Take all documents of a shard; nothing goes on."""
        smallest = _Smallest(self.size, smallest_keys(self.folder))
        came = 0

        def candidates() -> Iterator[Document]:
            nonlocal came
            for document in data:
                came += 1
                if smallest.takes(key(document.sha256, self.seed)):
                    yield document

        schema = work_schema(self.scores)
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with (
            appearing(documents_path(self.folder, rank)) as file,
            pa.ipc.new_stream(file, schema, options=options) as stream,
        ):
            for batch in grouped(candidates(), schema):
                stream.write_batch(batch)
        # Their documents are on disk before any other shard relies on these keys.
        with locked(self.folder / "lock"):
            found = np.union1d(smallest_keys(self.folder), smallest.keys())[: self.size]
            with appearing(self.folder / "smallest.npy") as file:
                np.save(file, found)
        write_record(self.folder, rank, Record(documents=came), self.steps)
        yield from ()


def smallest_keys(folder: Path) -> Keys:
    """The keys of the sample so far, sorted."""
    path = folder / "smallest.npy"
    found: Keys = np.load(path) if path.exists() else np.empty(0, np.uint64)
    return found


@dataclass(frozen=True, slots=True)
class Sample:
    """What was drawn; it is read from disk each time."""

    folder: Path
    """Of the stage."""
    shards: int
    seed: int

    def __len__(self) -> int:
        return len(smallest_keys(self.folder))

    def __iter__(self) -> Iterator[Document]:
        """The documents, in the order of the sources; of equal texts the first.

        One whose id is taken by an earlier one goes by its place.
        """
        wanted = smallest_keys(self.folder)
        left = np.ones(len(wanted), bool)
        ids: set[str] = set()
        for document in self._written():
            one = np.uint64(key(document.sha256, self.seed))
            at = int(np.searchsorted(wanted, one))
            if at < len(wanted) and wanted[at] == one and left[at]:
                left[at] = False
                taken = document.id in ids
                yield replace(document, id=document.place) if taken else document
                ids.add(document.place if taken else document.id)

    def _written(self) -> Iterator[Document]:
        for rank in range(self.shards):
            path = documents_path(self.folder, rank)
            with path.open("rb") as file, pa.ipc.open_stream(file) as batches:
                for batch in batches:
                    yield from documents_of(batch)


class _Smallest:
    """The smallest `size` different keys of a stream, a heap."""

    def __init__(self, size: int, known: Keys) -> None:
        self._size = size
        self._heap = [-int(one) for one in known]
        heapq.heapify(self._heap)
        self._held = {int(one) for one in known}

    def takes(self, one: int) -> bool:
        """Whether the key is among the smallest so far, also where it was before."""
        if one in self._held:
            return True
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, -one)
        elif one < -self._heap[0]:
            self._held.discard(-heapq.heappushpop(self._heap, -one))
        else:
            return False
        self._held.add(one)
        return True

    def keys(self) -> Keys:
        return np.array(sorted(self._held), np.uint64)
