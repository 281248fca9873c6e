from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from bedside_models.likelihood import IGNORED
from bedside_trainer.data import rows as module
from bedside_trainer.data.packing import Packing
from bedside_trainer.data.rows import Rows, packed
from bedside_trainer.data.store import Documents, tokenised
from bedside_trainer.data.texts import Texts
from bedside_trainer.data.tokens import Tokeniser

TEXTS = ["a" * 21, "bcd", "ef", "g" * 9, "hij", "k", "lm", "n" * 5]
LENGTHS = [len(text) + 1 for text in TEXTS]
CAPACITY = 10


@pytest.fixture
def make(
    tmp_path: Path, write_texts: Callable[..., Texts], tokeniser: Tokeniser
) -> Callable[..., Rows]:
    texts = write_texts(TEXTS)

    def made(*, check: bool = True, seed: int = 1, **packing: Any) -> Rows:
        documents = Documents([tokenised(tmp_path / "room", texts, tokeniser)])
        return packed(
            tmp_path / "room",
            documents,
            {"all": np.arange(len(TEXTS))},
            capacity=CAPACITY,
            packing=Packing.model_validate(packing),
            seed=seed,
            check=check,
        )

    return made


def test_isolated_rows_keep_documents_apart(make: Callable[..., Rows]) -> None:
    rows = make()
    trained = 0
    for number in range(len(rows)):
        row, pieces = rows.read(number), rows.pieces(number)
        assert len(row.input_ids) == rows.lengths[number] <= CAPACITY
        assert (
            row.boundaries.tolist() == np.cumsum([0, *(p.end - p.start for p in pieces)]).tolist()
        )
        assert row.boundaries.dtype == np.int32
        for piece, first, end in zip(pieces, row.boundaries[:-1], row.boundaries[1:], strict=True):
            expected = rows.documents.read(*piece).tolist()
            assert row.input_ids[first:end].tolist() == expected
            assert row.labels[first:end].tolist() == [IGNORED, *expected[1:]]
            assert row.position_ids[first:end].tolist() == list(range(end - first))
        trained += int((row.labels != IGNORED).sum())
    # Every token is predicted, but for the first of each piece; one document has three.
    assert trained == sum(LENGTHS) - len(TEXTS) - 2


@pytest.mark.parametrize("mode", ["paper", "concat"])
def test_documents_of_other_rows_see_those_before_them(
    make: Callable[..., Rows], mode: str
) -> None:
    rows = make(mode=mode)
    for number in range(len(rows)):
        row = rows.read(number)
        length = len(row.input_ids)
        assert row.boundaries.tolist() == [0, length]
        assert row.position_ids.tolist() == list(range(length))
        assert row.labels.tolist() == [IGNORED, *row.input_ids[1:]]
        assert rows.cost[number] == length**2


def test_tokens_that_overlap_are_trained_on_once(make: Callable[..., Rows]) -> None:
    rows = make(overlap=4)
    trained = []
    for number in range(len(rows)):
        row = rows.read(number)
        for piece, first in zip(rows.pieces(number), row.boundaries, strict=False):
            if piece.document == 0:
                labels = row.labels[first : first + piece.end - piece.start]
                trained += (np.flatnonzero(labels != IGNORED) + piece.start).tolist()
    assert sorted(trained) == list(range(1, LENGTHS[0]))
    (stream,) = rows.streams
    assert stream.repeated == 8
    assert (stream.cut, stream.avoidable_cuts) == (1, 0)


def test_what_packing_did_is_counted(make: Callable[..., Rows]) -> None:
    (stream,) = make().streams
    assert stream.model_dump() == {
        "name": "all", "documents": len(TEXTS), "tokens": sum(LENGTHS), "repeated": 0,
        "rows": -(-sum(LENGTHS) // CAPACITY), "cut": 1, "avoidable_cuts": 0,
    }  # fmt: skip
    (stream,) = make(mode="concat").streams
    assert stream.cut > 1
    assert stream.avoidable_cuts == stream.cut - 1


def test_rows_are_packed_once_and_again_when_damaged(
    make: Callable[..., Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make().all_pieces.tolist()
    (path,) = (tmp_path / "room").glob("rows-*")
    with monkeypatch.context() as patch:
        patch.setattr(module, "lay_out", None)
        assert make().all_pieces.tolist() == first
    data = bytearray((path / "pieces.npy").read_bytes())
    data[-1] ^= 1
    (path / "pieces.npy").write_bytes(data)
    assert make(check=False).all_pieces.tolist() != first
    assert make().all_pieces.tolist() == first
    os.truncate(path / "cost.npy", 3)
    assert make().all_pieces.tolist() == first
    (path / "cost.npy").unlink()
    assert make().all_pieces.tolist() == first
    assert make(seed=2).all_pieces.tolist() != first


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="concat has none"):
        Packing(mode="concat", overlap=4)
    for wrong in ({"mode": "bfd"}, {"overlap": -1}, {"separator": ""}):
        with pytest.raises(ValidationError):
            Packing.model_validate(wrong)
