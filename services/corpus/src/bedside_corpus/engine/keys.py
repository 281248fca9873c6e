"""Which of equal texts, or equal ids, comes first: sorted hashes per shard, compared by range.

A key is the first 16 bytes of a SHA-256; the shards have the order of the sources, so the first of
equal keys is the one that an undivided reading would have met first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside_core.files import appearing

KEY = np.dtype([("high", "<u8"), ("low", "<u8")])
LATER = np.dtype([("shard", "<u4"), ("row", "<u4"), ("first_shard", "<u4"), ("first_row", "<u4")])
"""A row, and the first one that has its key."""
RANGE_KEYS = 2_000_000
"""Keys that are compared at once, 56 MB of them."""
GROUP_SHARDS = 16
"""Shards whose keys lie in one file when ranges are compared: each range opens all files, and there
are thousands of both. Some ten megabytes, of short texts some hundred."""
NEIGHBOURS = 64
"""Shards whose rows are taken from the files of the ranges at once: some megabytes."""
_ROW = ("row", "<u4")


def write_keys(path: Path, keys: NDArray[np.void], rows: NDArray[np.uint32] | None = None) -> None:
    """Write the keys of a shard's rows, sorted; nothing where there are none.

    Args:
        path: of the new file.
        keys: of a dtype whose fields are unsigned; the first of them, `high`, weighs most.
        rows: which row each key is of; default: one for each row.
    """
    if not len(keys):
        return
    order = _sorted(keys, keys.dtype.names or ())
    keyed = np.empty(len(keys), [*keys.dtype.descr, _ROW])
    for name in keys.dtype.names or ():
        keyed[name] = keys[name][order]
    keyed["row"] = order if rows is None else rows[order]
    save(path, keyed)


def ranges(keys: int) -> int:
    """Into how many ranges so many keys are divided."""
    return max(1, -(-keys // RANGE_KEYS))


def write_group(path: Path, files: Mapping[int, Path], key: np.dtype[np.void]) -> None:
    """Write the keys of several shards as one file, with `row` and `shard`, sorted.

    Of equal keys the order of shards and, within one, of rows remains.

    Args:
        path: of the new file.
        files: of keys, by shard; a shard without rows has none.
        key: dtype of the keys.
    """
    parts = [np.empty(0, [*key.descr, _ROW, ("shard", "<u4")])]
    for shard, file in files.items():
        if file.exists():
            keyed = np.load(file)
            part = np.empty(len(keyed), parts[0].dtype)
            for name in keyed.dtype.names or ():
                part[name] = keyed[name]
            part["shard"] = shard
            parts.append(part)
    found = np.concatenate(parts)
    save(path, found[_sorted(found, key.names or ())])


def gather(files: Sequence[Path], number: int, of: int, key: np.dtype[np.void]) -> NDArray[np.void]:
    """The keys of all shards in range number `number` of `of`, with `row` and `shard`, sorted.

    Of equal keys the order of shards and, within one, of rows remains.

    Args:
        files: of keys, one per group of shards, in their order.
        number: of the range, from 0.
        of: ranges.
        key: dtype of the keys.
    """
    parts = []
    for file in files:
        keyed = np.load(file, mmap_mode="r")
        first, end = (_place(keyed["high"], (n << 64) // of) for n in (number, number + 1))
        parts.append(np.array(keyed[first:end]))
    found = np.concatenate(parts)
    return found[_sorted(found, key.names or ())]


def write_later(path: Path, files: Sequence[Path], number: int, of: int) -> None:
    """Write which rows repeat a key of an earlier row: sorted by shard and row, of dtype `LATER`.

    Args:
        path: of the new file.
        files: of keys, one per group of shards.
        number: of the range of keys that is looked at, from 0.
        of: ranges.
    """
    found = gather(files, number, of, KEY)
    first = firsts(found, KEY)
    later = first != np.arange(len(found))
    rows = np.empty(later.sum(), LATER)
    rows["shard"], rows["row"] = found["shard"][later], found["row"][later]
    for name in ("shard", "row"):
        rows[f"first_{name}"] = found[name][first[later]]
    save(path, rows[np.lexsort((rows["row"], rows["shard"]))])


def firsts(found: NDArray[np.void], key: np.dtype[np.void]) -> NDArray[np.intp]:
    """For each of sorted keys the position of the first that equals it."""
    begins = np.ones(len(found), bool)
    begins[1:] = False
    for name in key.names or ():
        begins[1:] |= found[name][1:] != found[name][:-1]
    return np.maximum.accumulate(np.where(begins, np.arange(len(found)), 0))


class Later:
    """What all ranges have left of one shard after the other.

    Every range has some of every shard, and there are thousands of both: so the rows of neighbours
    are taken from the files at once.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        """`files`: of the ranges, each sorted by `shard` and `row`."""
        self._files = tuple(files)
        self._first = -NEIGHBOURS
        self._rows = np.empty(0, LATER)

    def of(self, shard: int) -> NDArray[np.void]:
        """The rows of a shard, sorted."""
        if not 0 <= shard - self._first < NEIGHBOURS:
            self._first = shard - shard % NEIGHBOURS
            self._rows = self._taken(self._first, self._first + NEIGHBOURS)
        begin, end = np.searchsorted(self._rows["shard"], (shard, shard + 1))
        return self._rows[begin:end]

    def _taken(self, begin: int, end: int) -> NDArray[np.void]:
        found = []
        for file in self._files:
            rows = np.load(file, mmap_mode="r")
            first, last = (_place(rows["shard"], bound) for bound in (begin, end))
            found.append(np.array(rows[first:last]))
        together = np.concatenate(found)
        return together[_sorted(together, ("shard", "row"))]


def keys_path(folder: Path, what: str, number: int) -> Path:
    """Where a stage has the keys of texts, ids or bands: of a shard, a group or a range."""
    return folder / what / f"{number:05d}.npy"


def save(path: Path, array: NDArray[Any]) -> None:
    """Write an array; the file appears whole."""
    with appearing(path) as file:
        np.save(file, array)


def _sorted(keys: NDArray[np.void], names: Sequence[str]) -> NDArray[np.intp]:
    return np.lexsort([keys[name] for name in reversed(names)])


def _place(column: NDArray[np.unsignedinteger], bound: int) -> int:
    """Where a sorted column reaches the bound; it looks at a few pages of a file, not at all."""
    return bisect_left(column, bound, key=int)
