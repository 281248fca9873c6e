"""Which documents are copies, decided in the order of the sources, and of which kept one.

A near-copy is left out only if it is alike a document that stays: of a chain in which each is alike
the one before, those that are not alike the first stay.

Tested in tests/corpus/engine/test_near.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bedside_corpus.blocks.base import Step
from bedside_corpus.config import NearDuplicates
from bedside_corpus.counts import Counts
from bedside_corpus.document import Document
from bedside_corpus.engine.keys import Later, save
from bedside_corpus.engine.near import Signatures, alike
from bedside_corpus.engine.progress import Heartbeat
from bedside_corpus.engine.records import Record, write_record
from bedside_corpus.engine.spread import spread_path

COPY = np.dtype([("row", "<u4"), ("of_shard", "<u4"), ("of_row", "<u4"), ("near", "?")])
"""A document that is left out, the one that stays for it, and whether it is a near-copy."""

Place = tuple[int, int]
"""Shard and row."""


class Resolving(Step):
    """Goes through the shards in order and leaves the `COPY` rows of each; one process does it.

    What `Spreading` left out before stays for nothing.

    Memory: the pairs of `NEIGHBOURS` shards, 8 bytes for each near-copy, and the rows that
    `Spreading` left out.
    """

    name = "deduplicating"
    """Its counts go with those of the step that leaves the copies out."""

    def __init__(
        self,
        kept: Path,
        texts: Sequence[Path],
        ids: Sequence[Path],
        pairs: Sequence[Path],
        shards: int,
        folder: Path,
        near: NearDuplicates | None,
        steps: Sequence[Step],
    ) -> None:
        """Make the step.

        Args:
            kept: folder of the first stage.
            texts: rows of equal texts, of all ranges.
            ids: of equal ids, of all ranges.
            pairs: of near-copies, of all ranges.
            shards: how many there are.
            folder: of this stage.
            near: the setting.
            steps: those before this one, whose counts go on record.
        """
        super().__init__()
        self.kept = kept
        self.texts, self.ids, self.pairs = tuple(texts), tuple(ids), tuple(pairs)
        self.shards, self.folder, self.near, self.steps = shards, folder, near, tuple(steps)

    def run(
        self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """Decide on all shards."""
        yield from data or ()
        self.counts = Counts()
        self._out = lru_cache(None)(self._left_out)
        self._written = lru_cache(64)(self._load)
        texts, ids, pairs = Later(self.texts), Later(self.ids), Later(self.pairs)
        near = [np.empty(0, np.uint64)]
        heartbeat = Heartbeat(self.folder / "beats", rank)
        for shard in range(self.shards):
            copies = self._resolve(shard, texts, pairs)
            save(copies_path(self.folder, shard), copies)
            save(taken_path(self.folder, shard), ids.of(shard)["row"])
            of = copies[copies["near"]]
            near.append(of["of_shard"].astype(np.uint64) << np.uint64(32) | of["of_row"])
            heartbeat.update(1)
        del self._written, self._out
        self.counts.noted.update(_sizes(np.concatenate(near)))
        write_record(self.folder, rank, Record(), [*self.steps, self])

    def _resolve(self, shard: int, texts: Later, pairs: Later) -> NDArray[np.void]:
        found: dict[int, tuple[Place, bool]] = {}

        def staying(place: Place) -> Place | None:
            """The document that stays for another one, that itself, or none."""
            if place[1] in self._out(place[0]):
                return None
            if place[0] == shard:
                return found[place[1]][0] if place[1] in found else place
            copies = self._written(place[0])
            at = int(np.searchsorted(copies["row"], place[1]))
            if at < len(copies) and copies["row"][at] == place[1]:
                return int(copies["of_shard"][at]), int(copies["of_row"][at])
            return place

        exact = {int(one["row"]): one for one in texts.of(shard)}
        similar: dict[int, list[Place]] = {}
        if self.near is not None:
            # Of one pair several bands, in several ranges, may know.
            for one in np.unique(pairs.of(shard)):
                place = int(one["near_shard"]), int(one["near_row"])
                similar.setdefault(int(one["row"]), []).append(place)
        for row in sorted((exact.keys() | similar.keys()) - self._out(shard)):
            if row in exact:
                first = exact[row]
                stays = staying((int(first["first_shard"]), int(first["first_row"])))
                if stays is not None:
                    found[row] = stays, False
                continue
            for place in similar[row]:
                stays = staying(place)
                if stays is not None and (stays == place or self._alike((shard, row), stays)):
                    found[row] = stays, True
                    break
        return np.array([(row, *of, near) for row, (of, near) in found.items()], COPY)

    def _alike(self, *places: Place) -> bool:
        assert self.near is not None  # noqa: S101 - else there are no pairs
        one, other = (self._signed(*place) for place in places)
        return bool(alike(one, other, self.near.jaccard)[0])

    def _signed(self, shard: int, row: int) -> NDArray[np.void]:
        signed = Signatures(self.kept).of(shard)
        at = bisect_left(signed["row"], row, key=int)
        return np.array(signed[at : at + 1])

    def _left_out(self, shard: int) -> frozenset[int]:
        path = spread_path(self.folder, shard)
        return frozenset(np.load(path)["row"].tolist() if path.exists() else ())

    def _load(self, shard: int) -> NDArray[np.void]:
        found: NDArray[np.void] = np.load(copies_path(self.folder, shard))
        return found


def copies_path(folder: Path, shard: int) -> Path:
    """Where the `COPY` rows of a shard are, sorted."""
    return folder / "copies" / f"{shard:05d}.npy"


def taken_path(folder: Path, shard: int) -> Path:
    """Where the rows of a shard are whose id an earlier document has, sorted."""
    return folder / "taken" / f"{shard:05d}.npy"


def _sizes(near: NDArray[np.uint64]) -> Counter[str]:
    """How many clusters have how many near-copies beside the document that stays."""
    _, sizes = np.unique(near, return_counts=True)
    counted: Counter[str] = Counter()
    for size, number in zip(*np.unique(sizes, return_counts=True), strict=True):
        low = 1 << int(size).bit_length() - 1
        label = f"{low}" if low == 1 else f"{low} to {2 * low - 1}"
        counted[f"texts with {label} near-copies"] += int(number)
    return counted
