from __future__ import annotations

import bisect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_trainer.data.histogram import best_fit


def one_by_one(lengths: list[int], capacity: int) -> int:
    """Rows of best-fit decreasing as the textbook has it."""
    spaces: list[int] = []
    rows = 0
    for length in sorted(lengths, reverse=True):
        at = bisect.bisect_left(spaces, length)
        if at == len(spaces):
            rows += 1
            space = capacity
        else:
            space = spaces.pop(at)
        bisect.insort(spaces, space - length)
    return rows


@given(st.integers(1, 60).flatmap(
    lambda capacity: st.tuples(
        st.just(capacity), st.lists(st.integers(1, capacity), max_size=200)
    )
))  # fmt: skip
def test_as_many_rows_as_best_fit_decreasing_one_by_one(drawn: tuple[int, list[int]]) -> None:
    capacity, lengths = drawn
    fit = best_fit(np.array(lengths, np.int32), capacity)
    load = np.bincount(fit.row, weights=lengths, minlength=fit.rows)
    assert fit.rows == len(load) == one_by_one(lengths, capacity)
    assert all(0 < tokens <= capacity for tokens in load)


def test_rows_longer_than_sixteen_bits_count() -> None:
    fit = best_fit(np.array([70_000, 1, 69_999, 40_000]), 70_000)
    assert fit.rows == 3
    assert fit.row[1] == fit.row[2]


@pytest.mark.parametrize("length", [0, 5])
def test_a_piece_that_no_row_can_hold_is_a_fault(length: int) -> None:
    with pytest.raises(ValueError, match="empty or longer"):
        best_fit(np.array([1, length]), 4)
