"""Micro-batches: rows laid end to end, as many as a setting allows, without padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bedside_models.likelihood import IGNORED
from bedside_trainer.data.rows import Row


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes through the model at once."""

    input_ids: Tensor
    """Shape (1, tokens)."""
    position_ids: Tensor
    """Shape (1, tokens); they restart with each piece."""
    targets: Tensor
    """The token that each position predicts, or `IGNORED`; shape (tokens,)."""
    boundaries: Tensor
    """Where pieces begin and the last one ends, int32, shape (pieces + 1,)."""
    longest: int
    """Tokens of the longest piece."""

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return replace(
            self,
            input_ids=self.input_ids.to(device),
            position_ids=self.position_ids.to(device),
            targets=self.targets.to(device),
            boundaries=self.boundaries.to(device),
        )

    @property
    def inputs(self) -> dict[str, Any]:
        """What a decoder is called with."""
        return {
            "input_ids": self.input_ids,
            "position_ids": self.position_ids,
            "cu_seq_lens_q": self.boundaries,
            "cu_seq_lens_k": self.boundaries,
            "max_length_q": self.longest,
            "max_length_k": self.longest,
            "use_cache": False,
        }


def pieces(ids: Sequence[Sequence[int]], device: torch.device) -> Batch:
    """A batch of pieces that predict nothing."""
    lengths = [len(piece) for piece in ids]
    return Batch(
        input_ids=torch.tensor([[token for piece in ids for token in piece]], device=device),
        position_ids=torch.cat([torch.arange(n, device=device) for n in lengths])[None],
        targets=torch.full((sum(lengths),), IGNORED, device=device),
        boundaries=torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device),
        longest=max(lengths),
    )


NOTHING = Row(
    input_ids=np.zeros(1, np.int64),
    labels=np.array([IGNORED]),
    position_ids=np.zeros(1, np.int64),
    boundaries=np.array([0, 1], np.int32),
)
"""A row that teaches nothing: for a process that has no row left while others have."""


def joined_rows(rows: Sequence[Row]) -> Batch:
    """Rows end to end; the last token of each predicts nothing."""
    lengths = [len(row.input_ids) for row in rows]
    starts = [0, *accumulate(lengths)]
    boundaries = [r.boundaries[:-1] + start for r, start in zip(rows, starts, strict=False)]
    boundaries.append(np.array([starts[-1]]))
    targets = [np.append(row.labels[1:], IGNORED) for row in rows]
    edges = np.concatenate(boundaries).astype(np.int32)
    return Batch(
        input_ids=torch.from_numpy(np.concatenate([row.input_ids for row in rows]))[None],
        position_ids=torch.from_numpy(np.concatenate([row.position_ids for row in rows]))[None],
        targets=torch.from_numpy(np.concatenate(targets)),
        boundaries=torch.from_numpy(edges),
        longest=int(np.diff(edges).max()),
    )


def targets_in(rows: Sequence[Row]) -> int:
    """Tokens that rows predict."""
    return sum(int((row.labels[1:] != IGNORED).sum()) for row in rows)


def micro_batches(lengths: Sequence[int], limit: int | None) -> list[range]:
    """Which rows go through the model together: neighbours, up to `limit` tokens.

    Args:
        lengths: tokens per row.
        limit: tokens; None puts each row alone, as is a row that is longer.
    """
    found: list[range] = []
    start = tokens = 0
    for index, length in enumerate(lengths):
        if index > start and (limit is None or tokens + length > limit):
            found.append(range(start, index))
            start, tokens = index, 0
        tokens += length
    return [*found, range(start, len(lengths))] if lengths else []
