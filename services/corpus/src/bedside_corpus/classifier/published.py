"""Published scores by document id, in files that all workers map: no score is held by any of them.

    FOLDER/keys       64 bits of a hash of each id, sorted
    FOLDER/scores     four bytes for each

428 million ids take 5.1 GB of disk, which the system's page cache holds once for all processes. The
chance that any of as many documents without a score is taken for one of them is 1 %.

Tested in tests/corpus/classifier/test_published.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bedside_core.files import appearing

KEYS, SCORES = "keys", "scores"
_ENTRY = np.dtype([("key", "<u8"), ("score", "<f4")])
_BITS = 8
"""Of a key, those that say which part it is sorted in: a crawl's parts have 20 MB."""


def index_path(folder: Path, column: str) -> Path:
    """Where the stage with this folder leaves the scores that belong to a classifier."""
    return folder / "index" / column


def write_index(folder: Path, batches: Iterable[pa.RecordBatch]) -> int:
    """Write the scores by id, and say how many there are; an id with two different ones has none.

    Args:
        folder: for the files; both appear whole.
        batches: with the columns `id` and `score`, in any order, without nulls.
    """
    parts = folder / "parts"
    shutil.rmtree(parts, ignore_errors=True)  # of a worker that was killed
    parts.mkdir(parents=True)
    paths = [parts / f"{number:03d}" for number in range(1 << _BITS)]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for batch in batches:
            rows = np.empty(batch.num_rows, _ENTRY)
            rows["key"] = keys_of(batch.column("id").to_pylist())
            rows["score"] = batch.column("score").to_numpy()
            rows = rows[np.argsort(rows["key"])]
            ends = np.searchsorted(rows["key"] >> np.uint64(64 - _BITS), range(len(files)), "right")
            for file, part in zip(files, np.split(rows, ends[:-1]), strict=True):
                file.write(part.tobytes())
    count = 0
    with appearing(folder / KEYS) as keys, appearing(folder / SCORES) as scores:
        for path in paths:
            rows = _agreeing(np.fromfile(path, _ENTRY))
            keys.write(rows["key"].tobytes())
            scores.write(rows["score"].tobytes())
            count += len(rows)
    shutil.rmtree(parts)
    return count


def keys_of(ids: Sequence[str]) -> NDArray[np.uint64]:
    """The key of each id."""
    digests = b"".join(blake2b(one.encode(), digest_size=8).digest() for one in ids)
    return np.frombuffer(digests, "<u8")


def _agreeing(rows: NDArray[np.void]) -> NDArray[np.void]:
    """A row for each key whose scores are equal, sorted."""
    rows = rows[np.lexsort((rows["score"], rows["key"]))]
    begins = np.ones(len(rows), bool)
    begins[1:] = rows["key"][1:] != rows["key"][:-1]
    firsts = np.flatnonzero(begins)
    lasts = np.append(firsts[1:], len(rows))[: len(firsts)] - 1
    agreeing = rows["score"][firsts] == rows["score"][lasts]
    found: NDArray[np.void] = rows[firsts[agreeing]]
    return found


class Index:
    """The scores of a folder that `write_index` wrote, with one at least."""

    def __init__(self, folder: Path) -> None:
        self._keys = np.memmap(folder / KEYS, "<u8", "r")
        self._scores = np.memmap(folder / SCORES, "<f4", "r")

    def find(self, ids: Sequence[str]) -> list[float | None]:
        """The score of each id, or none."""
        keys = keys_of(ids)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        hits, scores = self._keys[places] == keys, self._scores[places]
        return [s if hit else None for s, hit in zip(scores.tolist(), hits.tolist(), strict=True)]
