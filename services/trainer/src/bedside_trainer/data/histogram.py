"""Best-fit decreasing over the histogram of lengths.

Ding et al. 2024 (arXiv 2404.10830) take the pieces from long to short and put each into the row
with the smallest space that holds it; a segment tree finds that row. Here all pieces of one length
are placed together: where the smallest sufficient space is r, each row that has it takes r // s
pieces of length s, which is what the pieces would have chosen one after another. So the work grows
with the number of distinct lengths and spaces, not with that of pieces, and numpy is fast enough.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Fit(NamedTuple):
    """Where pieces went."""

    row: NDArray[np.int32]
    """Of every piece, shape (pieces,)."""
    rows: int


class _Spaces:
    """Rows by the space that is left in them."""

    def __init__(self) -> None:
        self._rows: dict[int, list[NDArray[np.int32]]] = {}
        self._number: dict[int, int] = {}
        self._bits = 0
        """Bit r is set while a row with a space of r is there."""

    def smallest(self, least: int) -> int | None:
        """The smallest space of at least `least`."""
        sufficient = self._bits >> least
        return least + (sufficient & -sufficient).bit_length() - 1 if sufficient else None

    def number(self, space: int) -> int:
        return self._number[space]

    def put(self, space: int, rows: NDArray[np.int32]) -> None:
        if space and len(rows):
            self._rows.setdefault(space, []).append(rows)
            self._number[space] = self._number.get(space, 0) + len(rows)
            self._bits |= 1 << space

    def take(self, space: int, number: int) -> NDArray[np.int32]:
        """Take out `number` of the rows that have this space."""
        shelf, taken, missing = self._rows[space], [], number
        while missing:
            rows = shelf.pop()
            if len(rows) > missing:
                shelf.append(rows[missing:])
                rows = rows[:missing]
            taken.append(rows)
            missing -= len(rows)
        self._number[space] -= number
        if not shelf:
            del self._rows[space], self._number[space]
            self._bits &= ~(1 << space)
        return np.concatenate(taken)


def best_fit(lengths: NDArray[np.integer[Any]], capacity: int) -> Fit:
    """Place pieces into as few rows as best-fit decreasing finds.

    Args:
        lengths: of the pieces, shape (pieces,), each from 1 to `capacity`.
        capacity: of a row.
    """
    if len(lengths) and not 1 <= lengths.min() <= lengths.max() <= capacity:
        raise ValueError("a piece is empty or longer than a row")
    # Sixteen bits are sorted by radix, several times as fast.
    narrow = np.uint16 if capacity <= np.iinfo(np.uint16).max else np.uint32
    longest_first = np.argsort((capacity - lengths).astype(narrow), kind="stable")
    histogram = np.bincount(lengths, minlength=capacity + 1)
    row = np.empty(len(lengths), np.int32)
    spaces, placed, rows = _Spaces(), 0, 0
    for length in np.flatnonzero(histogram)[::-1].tolist():
        left = int(histogram[length])
        while left:
            space = spaces.smallest(length)
            each = (space or capacity) // length
            number = left // each if space is None else min(left // each, spaces.number(space))
            if number == 0:  # the last ones do not fill what one row offers them
                number, each = 1, left
            if space is None:
                chosen = np.arange(rows, rows + number, dtype=np.int32)
                rows += number
            else:
                chosen = spaces.take(space, number)
            end = placed + number * each
            row[longest_first[placed:end]] = np.repeat(chosen, each)
            spaces.put((space or capacity) - each * length, chosen)
            placed, left = end, left - number * each
    return Fit(row, rows)
