"""Which optimizer steps saw a document: an index in the checkpoint, without text or ids.

    CHECKPOINT/lineage/
      pieces.npy    name of a document, row, start and end of every piece, sorted by name
      steps.npy     the rows that every step took, shape (steps, rows of a step)
      record.json   the texts that names are keyed with

A name is a keyed hash of a document's id (`store.name_of`): who asks has to know the id. The rows
are those that were trained on, whatever made their order, so the answer holds for every version.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from bedside_core.artifacts import Artifact
from bedside_trainer.data.prepare import Data
from bedside_trainer.data.store import name_of

FOLDER = "lineage"
PIECES, STEPS, RECORD = (f"{FOLDER}/{name}" for name in ("pieces.npy", "steps.npy", "record.json"))
NAMED = np.dtype([("name", "<u8"), ("row", "<u4"), ("start", "<u4"), ("end", "<u4")])
NO_ROW = np.iinfo(np.uint32).max
"""Fills up a step that took fewer rows, or none because it was left out."""


class Record(BaseModel):
    """`record.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    origins: tuple[str, ...]
    """SHA-256 (hex) of each file of texts."""
    documents: int
    """That lie in rows."""


class Seen(NamedTuple):
    """Tokens `start` to `end` (not included) of a document, and the steps that took them."""

    start: int
    end: int
    steps: tuple[int, ...]
    """From 1."""


def write(target: Path, data: Data, *, steps: Sequence[int]) -> None:
    """Write the index of a training that made these steps (from 1), and left out others."""
    rows, order = data.rows, data.order
    pieces = np.empty(len(rows.all_pieces), NAMED)
    pieces["name"] = rows.documents.names()[rows.all_pieces["document"]]
    pieces["row"] = np.repeat(np.arange(len(rows)), np.diff(rows.offsets))
    for name in ("start", "end"):
        pieces[name] = rows.all_pieces[name]
    taken = np.full((max(steps), order.batch_size), NO_ROW, np.uint32)
    for step in steps:
        chosen = order.step_rows(step - 1)
        taken[step - 1, : len(chosen)] = chosen
    (target / FOLDER).mkdir()
    np.save(target / PIECES, pieces[np.lexsort((pieces["start"], pieces["name"]))])
    np.save(target / STEPS, taken)
    record = Record(
        origins=tuple(store.origin for store in rows.documents.stores),
        documents=sum(stream.documents for stream in rows.streams),
    )
    (target / RECORD).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_record(checkpoint: Artifact) -> Record:
    """What the index of a checkpoint is about.

    Raises:
        ArtifactError: it has none, or it was changed.
    """
    for name in (PIECES, STEPS, RECORD):
        checkpoint.verify(name)
    return Record.model_validate_json(checkpoint.file(RECORD).read_bytes())


def seen(checkpoint: Artifact, document: str) -> list[Seen] | None:
    """The pieces of a document and their steps; None if it lies in no row.

    Args:
        checkpoint: of a training.
        document: the id that the corpus or the replayed texts have for it.

    Raises:
        ArtifactError: the checkpoint has no index, or it was changed.
    """
    record = read_record(checkpoint)
    pieces = np.load(checkpoint.file(PIECES), mmap_mode="r")
    names = [np.uint64(name_of(document, origin)) for origin in record.origins]
    first, end = (np.searchsorted(pieces["name"], names, side) for side in ("left", "right"))
    found = np.concatenate([pieces[a:b] for a, b in zip(first, end, strict=True)])
    if not len(found):
        return None
    taken: NDArray[np.uint32] = np.load(checkpoint.file(STEPS), mmap_mode="r")
    where = {row: np.flatnonzero((taken == row).any(axis=1)) + 1 for row in set(found["row"])}
    return [
        Seen(int(piece["start"]), int(piece["end"]), tuple(where[piece["row"]].tolist()))
        for piece in found
    ]
