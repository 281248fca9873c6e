"""Which texts and ids of all shards repeat earlier ones, and which texts are alike them.

Tested in tests/corpus/engine/test_build.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bedside_corpus.blocks.base import Step
from bedside_corpus.config import NearDuplicates
from bedside_corpus.document import Document
from bedside_corpus.engine.keys import GROUP_SHARDS, KEY, keys_path, write_group, write_later
from bedside_corpus.engine.near import BAND, BANDS, write_pairs

KEYS = ("text", "id")
PAIRS = "near"


class Grouping(Step):
    """Lays the keys of neighbouring shards together; no text is read."""

    name = "grouping"

    def __init__(self, kept: Path, shards: int, folder: Path, near: NearDuplicates | None) -> None:
        """`kept`: folder of the first stage; `folder`: of this one."""
        super().__init__()
        self.kept, self.shards, self.folder = kept, shards, folder
        self.kinds = {**dict.fromkeys(KEYS, KEY), **({} if near is None else {BANDS: BAND})}

    def run(self, data: None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Lay group number `rank` together."""
        here = groups(self.shards)[rank]
        for what, key in self.kinds.items():
            files = {shard: keys_path(self.kept, what, shard) for shard in here}
            write_group(keys_path(self.folder, what, rank), files, key)
        yield from ()


class Comparing(Step):
    """Compares one range of all keys; no text is read."""

    name = "comparing"

    def __init__(
        self, kept: Path, grouped: Path, shards: int, folder: Path, near: NearDuplicates | None
    ) -> None:
        """`kept`, `grouped`: folders of the stages before; `folder`: of this one."""
        super().__init__()
        self.kept, self.grouped, self.shards = kept, grouped, shards
        self.folder, self.near = folder, near

    def run(self, data: None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Look at range number `rank` of `world_size`."""
        for what in KEYS:
            write_later(keys_path(self.folder, what, rank), self._files(what), rank, world_size)
        if self.near is not None:
            path, files = keys_path(self.folder, PAIRS, rank), self._files(BANDS)
            write_pairs(path, files, self.kept, rank, world_size, self.near)
        yield from ()

    def _files(self, what: str) -> list[Path]:
        return [keys_path(self.grouped, what, n) for n in range(len(groups(self.shards)))]


def groups(shards: int) -> list[range]:
    """The shards of each group."""
    starts = range(0, shards, GROUP_SHARDS)
    return [range(start, min(start + GROUP_SHARDS, shards)) for start in starts]
