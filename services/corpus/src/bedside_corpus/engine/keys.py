"""Which of equal texts, or equal ids, comes first: sorted hashes per shard, compared by range.

A key is the first 16 bytes of a SHA-256; the shards have the order of the sources, so the first of
equal keys is the one that an undivided reading would have met first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bedside_core.files import appearing

KEY = np.dtype([("high", "<u8"), ("low", "<u8")])
ROW = np.dtype([("shard", "<u4"), ("row", "<u4")])
_KEYED = np.dtype([*KEY.descr, ("row", "<u4")])
RANGE_KEYS = 2_000_000
"""Keys that are compared at once, 40 MB of them."""


def write_keys(path: Path, digests: Sequence[bytes]) -> None:
    """Write the keys of a shard's rows, sorted; nothing where there are no rows.

    Args:
        path: of the new file.
        digests: 16 bytes for each row.
    """
    if not digests:
        return
    found = np.frombuffer(b"".join(digests), KEY)
    order = np.lexsort((found["low"], found["high"]))
    keyed = np.empty(len(found), _KEYED)
    keyed["high"], keyed["low"], keyed["row"] = found["high"][order], found["low"][order], order
    _save(path, keyed)


def ranges(keys: int) -> int:
    """Into how many ranges so many keys are divided."""
    return max(1, -(-keys // RANGE_KEYS))


def write_later(path: Path, files: Sequence[Path], number: int, of: int) -> None:
    """Write which rows repeat a key of an earlier row: sorted by shard and row, of dtype `ROW`.

    Args:
        path: of the new file.
        files: of keys, one per shard; a shard without rows has none.
        number: of the range of keys that is looked at, from 0.
        of: ranges.
    """
    parts = []
    for shard, file in enumerate(files):
        if file.exists():
            keyed = np.load(file, mmap_mode="r")
            bounds = [(n << 64) // of for n in (number, number + 1)]
            first, end = (_place(keyed["high"], bound) for bound in bounds)
            part = np.empty(end - first, [*_KEYED.descr, ("shard", "<u4")])
            for name in _KEYED.names or ():
                part[name] = keyed[name][first:end]
            part["shard"] = shard
            parts.append(part)
    found = np.concatenate(parts) if parts else np.empty(0, [*_KEYED.descr, ("shard", "<u4")])
    # Stable: of equal keys the order of shards and, within one, of rows remains.
    found = found[np.lexsort((found["low"], found["high"]))]
    later = np.zeros(len(found), bool)
    later[1:] = (found["high"][1:] == found["high"][:-1]) & (found["low"][1:] == found["low"][:-1])
    rows = np.empty(later.sum(), ROW)
    rows["shard"], rows["row"] = found["shard"][later], found["row"][later]
    _save(path, rows[np.lexsort((rows["row"], rows["shard"]))])


def later_rows(files: Sequence[Path], shard: int) -> NDArray[np.uint32]:
    """The rows of a shard that repeat an earlier key, sorted; `files` are those of all ranges."""
    found = []
    for file in files:
        rows = np.load(file)
        first, end = (np.searchsorted(rows["shard"], shard, side) for side in ("left", "right"))
        found.append(rows["row"][first:end])
    return np.sort(np.concatenate(found))


def _place(keys: NDArray[np.uint64], bound: int) -> int:
    return len(keys) if bound >> 64 else int(np.searchsorted(keys, np.uint64(bound)))


def _save(path: Path, array: NDArray[np.void]) -> None:
    with appearing(path) as file:
        np.save(file, array)
