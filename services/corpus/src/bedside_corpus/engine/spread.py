"""Held-out texts and exam items of which many documents hold a little each.

Each of the documents alone may stay; together they would be a copy, and the evaluation would count
it (`ngram`). So those that would make a text reach that share are left out, in the order of the
sources. What stays is counted as clean, unless a text would cost too much: a letter of which most
is a template's stands in all letters of the house. It is let in, and the evaluation counts it.

Tested in tests/corpus/test_decontamination.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Set
from itertools import groupby
from pathlib import Path

import numpy as np

from bedside_core.overlap import NGRAM, Span, merged
from bedside_corpus.blocks.base import Step
from bedside_corpus.blocks.heldout import LET_IN, Asking, HeldoutFilter, note
from bedside_corpus.counts import Counts
from bedside_corpus.document import Document
from bedside_corpus.engine.keys import save
from bedside_corpus.engine.records import read_records

SHARED = np.dtype([("row", "<u4"), ("spelling", "<u4"), ("start", "<u4"), ("words", "<u4")])
"""Words of a spelling that stand in a document."""
SPREAD = np.dtype([("row", "<u4"), ("question", "<u4")])
"""A document that is left out, and for what."""
MOST_DOCUMENTS = 100
MOST_SHARE = 0.001
"""So many documents, or this share of all if that is more, may be left out for one text."""


def noting(documents: Iterable[Document], path: Path) -> Iterator[Document]:
    """The documents, as they are; then what they share with what is asked is in the file."""
    found: list[tuple[int, int, int, int]] = []
    for row, document in enumerate(documents):
        found += ((row, *shared) for shared in document.shared)
        yield document
    save(path, np.array(found, SHARED))


class Spreading(Step):
    """Goes through what documents share and leaves the `SPREAD` rows of each shard.

    Memory: a byte for each word of what is asked, and one shard's rows.
    """

    name = HeldoutFilter.name
    """Its counts go with those of the block."""

    def __init__(self, kept: Path, shards: int, folder: Path, asking: Asking) -> None:
        """`kept`: folder of the first stage; `folder`: of this one."""
        super().__init__()
        self.kept, self.shards, self.folder, self.asking = kept, shards, folder, asking

    def run(self, data: None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Decide on all shards."""
        self.counts = Counts()
        documents = sum(record.documents for record in read_records(self.kept, self.shards))
        most = max(MOST_DOCUMENTS, int(documents * MOST_SHARE))
        let_in: set[int] = set()
        counts = self._pass(let_in)
        while over := {question for question, count in counts.items() if count > most}:
            let_in |= over
            counts = self._pass(let_in)
        for question, count in counts.items():
            self.counts.noted[note(self.asking.name(question), "spread")] += count
        for question in let_in:
            self.counts.noted[note(self.asking.name(question), LET_IN)] += 1
        yield from ()

    def _pass(self, let_in: Set[int]) -> Counter[int]:
        """Write what is left out if these questions are let in; how often for each other one."""
        index = self.asking.index
        marks = [bytearray(length) for length in index.lengths]
        counts: Counter[int] = Counter()
        for shard in range(self.shards):
            out: list[tuple[int, int]] = []
            rows = np.load(shared_path(self.kept, shard)).tolist()
            for row, of in groupby(rows, key=lambda one: one[0]):
                spans: dict[int, list[Span]] = defaultdict(list)
                for _, spelling, start, words in of:
                    if index.owners[spelling] not in let_in:
                        spans[spelling].append((start, words))
                found = {
                    index.owners[spelling]
                    for spelling, places in spans.items()
                    if _share(marks[spelling], places) >= NGRAM
                }
                counts.update(found)
                if found:
                    out.append((row, min(found)))
                    continue
                for spelling, places in spans.items():
                    _mark(marks[spelling], places)
            save(spread_path(self.folder, shard), np.array(out, SPREAD))
        return counts


def shared_path(folder: Path, shard: int) -> Path:
    """Where the `SHARED` rows of a shard are."""
    return folder / "shared" / f"{shard:05d}.npy"


def spread_path(folder: Path, shard: int) -> Path:
    """Where the `SPREAD` rows of a shard are, sorted."""
    return folder / "spread" / f"{shard:05d}.npy"


def _mark(marks: bytearray, places: Iterable[Span]) -> None:
    for start, words in places:
        marks[start : start + words] = b"\1" * words


def _share(marks: bytearray, places: Iterable[Span]) -> float:
    """Of a text, as far as it is marked or under the places."""
    new = sum(marks.count(0, start, start + words) for start, words in merged(sorted(places)))
    return (marks.count(1) + new) / len(marks)
