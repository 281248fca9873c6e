from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_trainer.packing import IGNORED, pack, shuffled

Documents = list[np.ndarray]
DOCUMENTS = st.lists(
    st.lists(st.integers(0, 50_000), max_size=40).map(lambda ids: np.array(ids, dtype=np.int32)),
    max_size=12,
)
PAD = 7


@given(documents=DOCUMENTS, length=st.integers(2, 17))
def test_rows_hold_every_token_in_order(documents: Documents, length: int) -> None:
    packed = pack(documents, length, pad_id=PAD)
    stream = [int(token) for document in documents for token in document]
    padding = packed.input_ids.size - len(stream)
    assert packed.input_ids.flatten().tolist() == stream + [PAD] * padding
    assert packed.labels.flatten().tolist() == stream + [IGNORED] * padding
    assert packed.input_ids.shape == packed.labels.shape == (packed.report.rows, length)
    assert 0 <= padding < length


@given(documents=DOCUMENTS, length=st.integers(2, 17))
def test_report_counts_what_happened(documents: Documents, length: int) -> None:
    report = pack(documents, length, pad_id=PAD).report
    position, split = 0, 0
    for document in documents:
        rows = {(position + i) // length for i in range(len(document))}
        split += len(rows) > 1
        position += len(document)
    assert report.documents_split == split
    assert report.documents_longer_than_row == sum(len(d) > length for d in documents)
    assert report.documents == len(documents)
    assert report.tokens == position
    assert report.fill == pytest.approx(position / (report.rows * length) if report.rows else 0)


@given(documents=DOCUMENTS, seed=st.integers(0, 2**32))
def test_shuffle_keeps_every_document_and_follows_the_seed(documents: Documents, seed: int) -> None:
    one, two = shuffled(documents, seed), shuffled(documents, seed)
    assert [d.tolist() for d in one] == [d.tolist() for d in two]
    assert sorted(d.tolist() for d in one) == sorted(d.tolist() for d in documents)


def test_a_document_longer_than_the_context_goes_over_several_rows() -> None:
    packed = pack([np.arange(1, 71, dtype=np.int32)], 32, pad_id=0)
    assert packed.report.rows == 3
    assert packed.report.documents_longer_than_row == 1
    assert packed.tokens_in(np.array([0, 2])) == 32 + 6
