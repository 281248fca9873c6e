"""Rows of documents, packed once and read in place.

WORK/rows-<what they are made from>/
  offsets.npy   number of the first piece of every row, and the number of pieces
  pieces.npy    document, start and end of every piece, row by row
  lengths.npy   tokens of every row
  cost.npy      sum of the squared lengths of what sees itself, of every row
  rows.json     what the rows are made from, what packing did, hashes of the files
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.config import sha256_of
from bedside_core.console import say
from bedside_core.files import disk_errors, sha256_file, sync, write_atomic
from bedside_models.likelihood import IGNORED
from bedside_trainer.data.layout import Layout, joined, lay_out
from bedside_trainer.data.packing import Packing
from bedside_trainer.data.room import alone_in
from bedside_trainer.data.store import Documents

FORMAT = 1
RECORD = "rows.json"
FILES = ("offsets", "pieces", "lengths", "cost")


class Piece(NamedTuple):
    """Tokens `start` to `end` (not included) of a document."""

    document: int
    start: int
    end: int


class Row(NamedTuple):
    """A row as a model takes it; there is no padding, so rows have lengths of their own."""

    input_ids: NDArray[np.int64]
    """Shape (tokens,)."""
    labels: NDArray[np.int64]
    """Shape (tokens,), not shifted: position t predicts label t + 1. `IGNORED` for the first token
    of what sees itself, and for tokens that the piece before was trained on already."""
    position_ids: NDArray[np.int64]
    """Shape (tokens,); they restart with everything that sees itself."""
    boundaries: NDArray[np.int32]
    """Where what sees itself begins, and the number of tokens: `cu_seqlens` of the kernels for
    attention over sequences of several lengths."""


class Packed(BaseModel):
    """What packing did to the documents of one stream, which stand in rows of their own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    documents: int
    tokens: int
    """Of the documents."""
    repeated: int
    """Tokens that stand in rows once more, by the overlap."""
    rows: int
    cut: int
    """Documents that lie in more than one piece."""
    avoidable_cuts: int
    """Of those, the ones that a row could have held."""


class RowsRecord(BaseModel):
    """`rows.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    made_from: dict[str, Any]
    streams: tuple[Packed, ...]
    sha256: dict[str, str]


class Rows:
    """Rows in memory-mapped files: reading one costs the same wherever it stands."""

    def __init__(self, path: Path, documents: Documents, packing: Packing) -> None:
        self.documents, self.packing = documents, packing
        record = RowsRecord.model_validate_json((path / RECORD).read_bytes())
        self.streams = record.streams
        """Their rows stand one stream after the other."""
        read = {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in FILES}
        self.offsets: NDArray[np.int64] = read["offsets"]
        self.all_pieces: NDArray[np.void] = read["pieces"]
        """Of dtype `layout.PIECE`, row by row."""
        self.lengths: NDArray[np.int32] = read["lengths"]
        """Tokens per row."""
        self.cost: NDArray[np.int64] = read["cost"]
        """Sum of the squared lengths of what sees itself, per row."""

    def __len__(self) -> int:
        return len(self.lengths)

    def pieces(self, row: int) -> list[Piece]:
        """What stands in a row, in order."""
        found = self.all_pieces[self.offsets[row] : self.offsets[row + 1]]
        return [Piece(*piece) for piece in found.tolist()]

    def documents_in(self, rows: Iterable[int]) -> set[int]:
        """Numbers of the documents that have a piece in these rows."""
        return {piece.document for row in rows for piece in self.pieces(row)}

    def read(self, row: int) -> Row:
        """A row's tokens, and what of it sees what."""
        pieces = self.pieces(row)
        read = [self.documents.read(*piece) for piece in pieces]
        starts = np.cumsum([0, *map(len, read)])
        boundaries = starts if self.packing.mode == "isolated" else starts[[0, -1]]
        input_ids = np.concatenate(read).astype(np.int64)
        labels = input_ids.copy()
        labels[boundaries[:-1]] = IGNORED
        for piece, start in zip(pieces, starts.tolist(), strict=False):
            if piece.start:
                labels[start : start + self.packing.overlap] = IGNORED
        positions = np.arange(len(input_ids)) - np.repeat(boundaries[:-1], np.diff(boundaries))
        return Row(input_ids, labels, positions, boundaries.astype(np.int32))


def packed(
    room: Path,
    documents: Documents,
    streams: Mapping[str, NDArray[np.int64]],
    *,
    capacity: int,
    packing: Packing,
    seed: int,
    check: bool = True,
) -> Rows:
    """The rows of these documents, packed if that was not done before.

    Args:
        room: where rows lie.
        documents: of all stores.
        streams: numbers of the documents that share rows, by the name of the stream.
        capacity: tokens of a row.
        packing: mode and overlap.
        seed: of what stands beside what.
        check: whether the hashes of rows that are there are compared.

    Raises:
        ArtifactError: the disk is full.
    """
    made_from = {
        "format": FORMAT,
        "stores": [store.path.name for store in documents.stores],
        "streams": {name: _digest(numbers) for name, numbers in streams.items()},
        "capacity": capacity,
        "packing": packing.model_dump(include={"mode", "overlap"}),
        "seed": seed,
    }
    path = room / f"rows-{sha256_of(made_from)[:16]}"
    with alone_in(path), disk_errors("the rows of the corpus"):
        if not _whole(path, made_from, check=check):
            _write(path, made_from, documents.lengths(), streams, capacity, packing, seed)
    return Rows(path, documents, packing)


def _digest(numbers: NDArray[np.int64]) -> str:
    return hashlib.sha256(numbers.tobytes()).hexdigest()


def _whole(path: Path, made_from: dict[str, Any], *, check: bool) -> bool:
    try:
        record = RowsRecord.model_validate_json((path / RECORD).read_bytes())
    except (OSError, ValidationError):
        return False
    if record.made_from != made_from:
        return False
    files = {name: path / f"{name}.npy" for name in FILES}
    there = all(file.is_file() for file in files.values())
    if not there or (check and any(sha256_file(files[n]) != record.sha256[n] for n in FILES)):
        say(f"{path.name} was changed after it was written, made again")
        return False
    return True


def _write(
    path: Path,
    made_from: dict[str, Any],
    lengths: NDArray[np.int64],
    streams: Mapping[str, NDArray[np.int64]],
    capacity: int,
    packing: Packing,
    seed: int,
) -> None:
    done, layouts = [], []
    for name, numbers in streams.items():
        layout = lay_out(lengths[numbers], capacity, packing, seed)
        done.append(_packed(name, lengths[numbers], layout, capacity))
        layout.pieces["document"] = numbers[layout.pieces["document"]]
        layouts.append(layout)
    layout = joined(layouts)
    arrays = {
        "offsets": layout.offsets,
        "pieces": layout.pieces,
        "lengths": layout.lengths,
        "cost": layout.cost(packing.mode),
    }
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
        sync(path / f"{name}.npy")
    sha256 = {name: sha256_file(path / f"{name}.npy") for name in FILES}
    record = RowsRecord(made_from=made_from, streams=tuple(done), sha256=sha256)
    write_atomic(path / RECORD, record.model_dump_json().encode())


def _packed(name: str, lengths: NDArray[np.int64], layout: Layout, capacity: int) -> Packed:
    cut = np.bincount(layout.pieces["document"], minlength=len(lengths)) > 1
    tokens = int(lengths.sum())
    return Packed(
        name=name,
        documents=len(lengths),
        tokens=tokens,
        repeated=int(layout.lengths.sum(dtype=np.int64)) - tokens,
        rows=len(layout.offsets) - 1,
        cut=int(cut.sum()),
        avoidable_cuts=int((cut & (lengths <= capacity)).sum()),
    )
