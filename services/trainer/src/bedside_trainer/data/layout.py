"""Which piece of which document stands in which row.

Nothing is lost, and but for `concat` nothing is cut that fits into a row. The documents are
shuffled first, so neither the order of the corpus nor the length decides who stands beside whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedside_trainer.data.histogram import best_fit
from bedside_trainer.data.packing import Mode, Packing

PIECE = np.dtype([("document", "<u4"), ("start", "<u4"), ("end", "<u4")])
"""Tokens `start` to `end` (not included) of a document."""
Columns = tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]
"""Documents, starts and ends of pieces."""


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
    shuffled = np.random.default_rng(seed).permutation(len(lengths)).astype(np.uint32)
    lengths = lengths[shuffled]
    if packing.mode == "concat":
        document, start, end = _end_to_end(lengths, capacity)
        row: NDArray[np.integer[Any]] = (np.cumsum(end - start) - 1) // capacity
    else:
        document, start, end = cut(lengths, capacity, packing.overlap)
        fit = best_fit((end - start).astype(np.int32), capacity)
        by_row = _grouped(fit.row)
        document, start, end = document[by_row], start[by_row], end[by_row]
        row = fit.row[by_row]
    pieces = np.empty(len(document), PIECE)
    pieces["document"], pieces["start"], pieces["end"] = shuffled[document], start, end
    return Layout(np.concatenate(([0], np.cumsum(np.bincount(row)))), pieces)


def cut(lengths: NDArray[np.int64], capacity: int, overlap: int) -> Columns:
    """Cut what is longer than a row at exactly its capacity, and nothing else.

    Args:
        lengths: tokens of every document.
        capacity: tokens of a row.
        overlap: tokens that a piece repeats of the piece before, fewer than `capacity`.
    """
    stride = capacity - overlap
    long = lengths > capacity
    number = np.ones(len(lengths), np.int64)
    number[long] = -(-(lengths[long] - overlap) // stride)
    document = np.repeat(np.arange(len(lengths), dtype=np.uint32), number)
    start = np.zeros(len(document), np.int64)
    # Pieces of long documents alone, counted from 0 in each.
    few = number[long]
    nth = np.arange(few.sum()) - np.repeat(np.cumsum(few) - few, few)
    start[np.repeat(long, number)] = nth * stride
    return document, start, np.minimum(start + capacity, np.repeat(lengths, number))


def _end_to_end(lengths: NDArray[np.int64], capacity: int) -> Columns:
    """Pieces of documents that are laid end to end and cut every `capacity` tokens."""
    ends = np.cumsum(lengths)
    to = np.union1d(ends, np.arange(capacity, lengths.sum(), capacity))
    since = np.concatenate(([0], to[:-1]))
    document = np.searchsorted(ends, since, side="right").astype(np.uint32)
    first = (ends - lengths)[document]
    return document, since - first, to - first


def _grouped(row: NDArray[np.int32]) -> NDArray[np.int64]:
    """The pieces row by row, those of a row in their order: a radix sort, 16 bits at a time."""
    low = np.argsort((row & 0xFFFF).astype(np.uint16), kind="stable")
    high = np.argsort((row[low] >> 16).astype(np.uint16), kind="stable")
    grouped: NDArray[np.int64] = low[high]
    return grouped


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
