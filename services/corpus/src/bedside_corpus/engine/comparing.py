"""The middle stage: which texts and which ids of all shards repeat earlier ones.

Tested in tests/corpus/engine/test_build.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bedside_corpus.blocks.base import Step
from bedside_corpus.document import Document
from bedside_corpus.engine.keys import write_later
from bedside_corpus.engine.reading import keys_path

KEYS = ("text", "id")


class Comparing(Step):
    """Compares one range of the keys; no text is read."""

    name = "comparing"

    def __init__(self, kept: Path, shards: int, folder: Path) -> None:
        """`kept`: folder of the first stage; `folder`: of this one."""
        super().__init__()
        self.kept, self.shards, self.folder = kept, shards, folder

    def run(self, data: None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Look at range number `rank` of `world_size`."""
        for what in KEYS:
            files = [keys_path(self.kept, what, shard) for shard in range(self.shards)]
            write_later(keys_path(self.folder, what, rank), files, rank, world_size)
        yield from ()
