"""Which piece of which document stands in which row.

Nothing is lost, and but for `concat` nothing is cut that fits into a row. The documents are
shuffled first, so neither the order of the corpus nor the length decides who stands beside whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedside_trainer.data.histogram import best_fit
from bedside_trainer.data.packing import Mode, Packing

PIECE = np.dtype([("document", "<u4"), ("start", "<u4"), ("end", "<u4")])
"""Tokens `start` to `end` (not included) of a document."""


class Layout(NamedTuple):
    """Pieces by rows."""

    offsets: NDArray[np.int64]
    """Shape (rows + 1,)."""
    pieces: NDArray[np.void]
    """Shape (pieces,), of dtype `PIECE`."""

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens per row."""
        return self._per_row(_lengths(self.pieces)).astype(np.int32)

    def cost(self, mode: Mode) -> NDArray[np.int64]:
        """Sum of the squared lengths of what sees itself, per row."""
        if mode == "isolated":
            return self._per_row(_lengths(self.pieces) ** 2)
        return self.lengths.astype(np.int64) ** 2

    def _per_row(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        empty = np.zeros(0, np.int64)
        return np.add.reduceat(values, self.offsets[:-1]) if len(values) else empty


def lay_out(lengths: NDArray[np.int64], capacity: int, packing: Packing, seed: int) -> Layout:
    """Put whole documents, or their pieces, into rows.

    Args:
        lengths: tokens of every document, shape (documents,), at least one each.
        capacity: tokens of a row.
        packing: the mode, and the overlap.
        seed: of the order in which documents of one length are placed and stand in a row.
    """
    shuffled = np.random.default_rng(seed).permutation(len(lengths))
    if packing.mode == "concat":
        pieces = _end_to_end(lengths[shuffled], capacity)
        row = (np.cumsum(_lengths(pieces)) - 1) // capacity
    else:
        pieces = cut(lengths[shuffled], capacity, packing.overlap)
        fit = best_fit(_lengths(pieces).astype(np.int32), capacity)
        by_row = np.argsort(fit.row, kind="stable")
        pieces, row = pieces[by_row], fit.row[by_row].astype(np.int64)
    pieces["document"] = shuffled[pieces["document"]]
    offsets = np.concatenate(([0], np.cumsum(np.bincount(row))))
    return Layout(offsets, pieces)


def cut(lengths: NDArray[np.int64], capacity: int, overlap: int) -> NDArray[np.void]:
    """Cut what is longer than a row at exactly its capacity, and nothing else.

    Args:
        lengths: tokens of every document.
        capacity: tokens of a row.
        overlap: tokens that a piece repeats of the piece before, fewer than `capacity`.
    """
    stride = capacity - overlap
    number = np.maximum(1, -(-(lengths - overlap) // stride))
    document = np.repeat(np.arange(len(lengths)), number)
    start = (np.arange(len(document)) - np.repeat(np.cumsum(number) - number, number)) * stride
    return _pieces(document, start, np.minimum(start + capacity, lengths[document]))


def _end_to_end(lengths: NDArray[np.int64], capacity: int) -> NDArray[np.void]:
    """Pieces of documents that are laid end to end and cut every `capacity` tokens."""
    ends = np.cumsum(lengths)
    to = np.union1d(ends, np.arange(capacity, lengths.sum(), capacity))
    since = np.concatenate((to[:0], [0], to[:-1]))[: len(to)]
    document = np.searchsorted(ends, since, side="right")
    first = (ends - lengths)[document]
    return _pieces(document, since - first, to - first)


def _pieces(*columns: NDArray[np.int64]) -> NDArray[np.void]:
    pieces = np.empty(len(columns[0]), PIECE)
    for name, column in zip(("document", "start", "end"), columns, strict=True):
        pieces[name] = column
    return pieces


def _lengths(pieces: NDArray[np.void]) -> NDArray[np.int64]:
    lengths: NDArray[np.int64] = pieces["end"].astype(np.int64) - pieces["start"]
    return lengths


def joined(layouts: Sequence[Layout]) -> Layout:
    """Several layouts, one after the other."""
    first = np.cumsum([0, *(len(layout.pieces) for layout in layouts)])
    offsets = [
        layout.offsets[:-1] + at for layout, at in zip(layouts, first.tolist(), strict=False)
    ]
    return Layout(
        np.concatenate([*offsets, first[-1:]]),
        np.concatenate([layout.pieces for layout in layouts]),
    )
