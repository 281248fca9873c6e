"""The units of work: files of the sources, or a part of a large one, whoever works on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from bedside_corpus.intake.dividing import parts_of
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
    """Neighbours together until they have `size` bytes; a larger file in parts, or alone.

    It follows from the files alone, never from the number of workers. What is divided: JSONL that
    is neither compressed nor in UTF-16 or -32, and Parquet of several row groups.

    Raises:
        InputError: a file cannot be read.
    """
    shards: list[Shard] = []
    for file in files:
        here = file.path.stat().st_size
        if shards and shards[-1].size + here <= size:
            shards[-1] = Shard((*shards[-1].files, file), shards[-1].size + here)
        elif here > size and (parts := parts_of(file, here, size)):
            shards += [Shard((replace(file, part=part),), share) for part, share in parts]
        else:
            shards.append(Shard((file,), here))
    return shards
