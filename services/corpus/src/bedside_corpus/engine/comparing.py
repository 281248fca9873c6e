"""The second stage: which texts and ids of all shards repeat earlier ones, which are alike them.

Tested in tests/corpus/engine/test_build.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bedside_corpus.blocks.base import Step
from bedside_corpus.config import NearDuplicates
from bedside_corpus.document import Document
from bedside_corpus.engine.keys import write_later
from bedside_corpus.engine.near import write_pairs
from bedside_corpus.engine.reading import keys_path

KEYS = ("text", "id")
PAIRS = "near"


class Comparing(Step):
    """Compares one range of all keys; no text is read."""

    name = "comparing"

    def __init__(self, kept: Path, shards: int, folder: Path, near: NearDuplicates | None) -> None:
        """`kept`: folder of the first stage; `folder`: of this one."""
        super().__init__()
        self.kept, self.shards, self.folder, self.near = kept, shards, folder, near

    def run(self, data: None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Look at range number `rank` of `world_size`."""
        for what in KEYS:
            files = [keys_path(self.kept, what, shard) for shard in range(self.shards)]
            write_later(keys_path(self.folder, what, rank), files, rank, world_size)
        if self.near is not None:
            path = keys_path(self.folder, PAIRS, rank)
            write_pairs(path, self.kept, self.shards, rank, world_size, self.near)
        yield from ()
