"""Hashed counts of a text's character n-grams: what the linear model sees.

The text is lower-cased and its blanks are made single, so that an n-gram may span two words but no
layout. The hash is our own, of code points, so that a stored model means the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 16
"""Characters that are looked at at once, so that memory stays flat whatever the text's length."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""2^64 by the golden ratio (Knuth, The Art of Computer Programming 3, 6.4)."""
_SPREAD = np.uint64(0xBF58476D1CE4E5B9)


class Features(NamedTuple):
    """A sparse vector of unit length."""

    indices: NDArray[np.int64]
    """Sorted, below 2^bits."""
    values: NDArray[np.float32]
    """Square roots of the counts, over their Euclidean norm."""


def features(text: str, sizes: tuple[int, ...], bits: int) -> Features:
    """The n-grams of a text; a text shorter than all of `sizes` has none.

    Args:
        text: of any length.
        sizes: of the n-grams, in characters.
        bits: of the hash.
    """
    pieces = [_hashes(piece, sizes, bits) for piece in _pieces(text, max(sizes))]
    if len(pieces) == 1:
        indices, counts = np.unique(pieces[0], return_counts=True)
    else:
        dense = np.zeros(1 << bits, np.int64)
        for piece in pieces:
            dense += np.bincount(piece, minlength=1 << bits)
        indices = np.flatnonzero(dense)
        counts = dense[indices]
    # The norm of the square roots is the root of the number of n-grams.
    values = np.sqrt(counts / max(1, counts.sum())).astype(np.float32)
    return Features(indices, values)


def _pieces(text: str, overlap: int) -> Iterator[NDArray[np.uint64]]:
    """Code points of the text, in pieces that lose no n-gram; those of a border may count twice."""
    plain = " ".join(text.lower().split())
    for start in range(0, max(1, len(plain)), PIECE):
        piece = f" {plain[start : start + PIECE + overlap]} "
        points = np.frombuffer(piece.encode("utf-32-le", "surrogatepass"), "<u4")
        yield points.astype(np.uint64)


def _hashes(points: NDArray[np.uint64], sizes: tuple[int, ...], bits: int) -> NDArray[np.int64]:
    found = []
    for size in sizes:
        many = len(points) - size + 1
        if many <= 0:
            continue
        hashed = np.full(many, np.uint64(size))
        for offset in range(size):
            hashed = (hashed ^ points[offset : offset + many]) * _FACTOR
            hashed ^= hashed >> np.uint64(29)
        found.append(((hashed * _SPREAD) >> np.uint64(64 - bits)).astype(np.int64))
    return np.concatenate(found) if found else np.empty(0, np.int64)
