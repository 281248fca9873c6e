"""Packing: documents of any length into rows of one length, without losing a token.

The documents are laid end to end and cut every `length` tokens. Documents in a row see each other
across the end-of-sequence token, as in DeFineMed (appendix A.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside_models.likelihood import IGNORED


@dataclass(frozen=True, slots=True)
class PackingReport:
    """What packing did."""

    documents: int
    tokens: int
    rows: int
    fill: float
    """Share of the rows' positions that hold a token."""
    documents_split: int
    """Documents that lie in more than one row."""
    documents_longer_than_row: int
    """Of those, the ones that no packing could have kept whole."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows for a causal language model."""

    input_ids: NDArray[np.int32]
    """Token ids, shape (rows, length)."""
    labels: NDArray[np.int32]
    """The same, not shifted, with `IGNORED` at padding."""
    report: PackingReport

    def tokens_in(self, rows: NDArray[Any]) -> int:
        """Tokens, padding left out, of the rows with these indices."""
        return int((self.labels[rows] != IGNORED).sum())


def shuffled(documents: Sequence[NDArray[np.int32]], seed: int) -> list[NDArray[np.int32]]:
    """The documents in an order that depends on the seed only."""
    order = np.random.default_rng(seed).permutation(len(documents))
    return [documents[i] for i in order]


def pack(documents: Sequence[NDArray[np.int32]], length: int, *, pad_id: int) -> Packed:
    """Concatenate and split; only the end of the last row is padding.

    Args:
        documents: token ids, each of shape (tokens,), with their end-of-sequence token.
        length: tokens per row.
        pad_id: fills the last row; no loss is taken there.
    """
    lengths = np.array([len(document) for document in documents], dtype=np.int64)
    tokens = int(lengths.sum())
    rows = -(-tokens // length)
    input_ids = np.full(rows * length, pad_id, dtype=np.int32)
    labels = np.full(rows * length, IGNORED, dtype=np.int32)
    if tokens:
        input_ids[:tokens] = np.concatenate(documents)
        labels[:tokens] = input_ids[:tokens]
    ends = np.cumsum(lengths)
    first_row, last_row = (ends - lengths) // length, (ends - 1) // length
    report = PackingReport(
        documents=len(documents),
        tokens=tokens,
        rows=rows,
        fill=tokens / (rows * length) if rows else 0.0,
        documents_split=int(((last_row > first_row) & (lengths > 0)).sum()),
        documents_longer_than_row=int((lengths > length).sum()),
    )
    return Packed(input_ids.reshape(rows, length), labels.reshape(rows, length), report)
