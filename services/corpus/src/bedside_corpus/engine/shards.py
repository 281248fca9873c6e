"""The units of work: some files of the sources, whoever works on them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bedside_corpus.sources import SourceFile

SHARD_BYTES = 64 << 20
"""What a worker reads before it leaves something that a kill cannot take away; with another value
a build begins anew, and files of the corpus are divided otherwise."""


class Shard(NamedTuple):
    """Files that are read one after the other and end in one file of the corpus."""

    files: tuple[SourceFile, ...]
    size: int
    """Bytes of all of them."""


def divide(files: Iterable[SourceFile], size: int = SHARD_BYTES) -> list[Shard]:
    """Neighbours together until they have `size` bytes; a larger file stands alone.

    It follows from the files alone, never from the number of workers.
    """
    shards: list[Shard] = []
    for file in files:
        here = file.path.stat().st_size
        if shards and shards[-1].size + here <= size:
            shards[-1] = Shard((*shards[-1].files, file), shards[-1].size + here)
        else:
            shards.append(Shard((file,), here))
    return shards
