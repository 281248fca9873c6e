from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from bedside_trainer.step.batch import micro_batches, pieces


@given(
    lengths=st.lists(st.integers(1, 50), max_size=30),
    limit=st.one_of(st.none(), st.integers(1, 120)),
)
def test_every_row_is_in_one_micro_batch_that_fits(lengths: list[int], limit: int | None) -> None:
    found = micro_batches(lengths, limit)
    assert [row for part in found for row in part] == list(range(len(lengths)))
    for part, following in zip(found, [*found[1:], None], strict=False):
        tokens = sum(lengths[row] for row in part)
        assert len(part) == 1 or (limit is not None and tokens <= limit)
        if limit is not None and following is not None:
            assert tokens + lengths[following[0]] > limit


def test_pieces_have_positions_and_boundaries_of_their_own() -> None:
    row = pieces([[5, 6, 7], [8], [9, 10]], torch.device("cpu"))
    assert row.input_ids.tolist() == [[5, 6, 7, 8, 9, 10]]
    assert row.position_ids.tolist() == [[0, 1, 2, 0, 0, 1]]
    assert row.boundaries.tolist() == [0, 3, 4, 6]
    assert row.boundaries.dtype == torch.int32
    assert row.longest == 3
