from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_trainer.data.layout import Layout, cut, joined, lay_out
from bedside_trainer.data.packing import Packing

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40)
WHOLE = st.sampled_from(["isolated", "paper"])


def laid(lengths: list[int], capacity: int, seed: int = 0, **packing: object) -> Layout:
    settings = Packing.model_validate(packing)
    return lay_out(np.array(lengths, np.int64), capacity, settings, seed)


def pieces_of(layout: Layout) -> dict[int, list[tuple[int, int]]]:
    """Start and end of every document's pieces, in order."""
    found: dict[int, list[tuple[int, int]]] = {}
    for document, start, end in layout.pieces.tolist():
        found.setdefault(document, []).append((start, end))
    return {document: sorted(pieces) for document, pieces in found.items()}


@given(LENGTHS, st.integers(5, 20), st.integers(0, 4), WHOLE, st.integers(0, 9))
def test_no_token_is_lost_and_nothing_is_cut_without_need(
    lengths: list[int], capacity: int, overlap: int, mode: str, seed: int
) -> None:
    layout = laid(lengths, capacity, seed, mode=mode, overlap=overlap)
    found = pieces_of(layout)
    assert sorted(found) == list(range(len(lengths)))
    for document, pieces in found.items():
        length = lengths[document]
        assert pieces[0][0] == 0
        assert pieces[-1][1] == length
        # A cut is at exactly the capacity, and the next piece begins `overlap` tokens before.
        assert all(end - start == capacity for start, end in pieces[:-1])
        for (_, end), (start, _) in itertools.pairwise(pieces):
            assert start == end - overlap
        assert (len(pieces) > 1) == (length > capacity)
    assert layout.lengths.min() >= 1
    assert layout.lengths.max() <= capacity


@given(LENGTHS, st.integers(2, 20))
def test_concat_fills_every_row_but_the_last(lengths: list[int], capacity: int) -> None:
    layout = laid(lengths, capacity, mode="concat")
    assert set(layout.lengths[:-1].tolist()) <= {capacity}
    assert int(layout.lengths.sum()) == sum(lengths)
    for document, pieces in pieces_of(layout).items():
        ends = [0, *(end for _, end in pieces)]
        assert [start for start, _ in pieces] == ends[:-1]
        assert ends[-1] == lengths[document]


@given(LENGTHS, st.integers(5, 20), st.sampled_from(["isolated", "paper", "concat"]))
def test_cost_is_the_square_of_what_sees_itself(
    lengths: list[int], capacity: int, mode: str
) -> None:
    layout = laid(lengths, capacity, mode=mode)
    expected = []
    for first, end in zip(layout.offsets[:-1], layout.offsets[1:], strict=True):
        pieces = [end - start for _, start, end in layout.pieces[first:end].tolist()]
        expected.append(sum(n**2 for n in pieces) if mode == "isolated" else sum(pieces) ** 2)
    assert layout.cost(mode).tolist() == expected


def test_the_seed_decides_who_stands_beside_whom() -> None:
    lengths = [3] * 30
    one, same, other = (laid(lengths, 9, seed) for seed in (1, 1, 2))
    assert one.pieces.tolist() == same.pieces.tolist()
    assert one.pieces.tolist() != other.pieces.tolist()


def test_the_longest_do_not_always_stand_first_in_a_row() -> None:
    lengths = [6, 4] * 50
    layout = laid(lengths, 10)
    first = [int(layout.pieces[at]["end"]) for at in layout.offsets[:-1]]
    assert len(first) == 50
    assert set(first) == {4, 6}


@pytest.mark.parametrize(
    ("lengths", "pieces"),
    [([11], [(0, 0, 10), (0, 6, 11)]), ([10, 3], [(0, 0, 10), (1, 0, 3)])],
)
def test_a_document_that_just_does_not_fit(
    lengths: list[int], pieces: list[tuple[int, int, int]]
) -> None:
    columns = cut(np.array(lengths), 10, 4)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == pieces


def test_layouts_one_after_the_other() -> None:
    one, two = laid([3, 9], 9), laid([9, 9, 2], 9)
    both = joined([one, two])
    assert both.lengths.tolist() == [*one.lengths, *two.lengths]
    assert both.offsets[-1] == len(both.pieces)
