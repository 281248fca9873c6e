"""Angle and relative change of every tensor between base and checkpoint, one tensor at a time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from bedside_core.progress import Progress
from bedside_models.tensors import open_weights

LINEAR_FROM = 0.9995
"""|cosine| above which mergekit's SLERP interpolates linearly (its `slerp`, `dot_threshold`): an
angle of less than 1.81 degrees."""
CHUNK_ELEMENTS = 1 << 20
"""Bounds the float64 scratch, whatever the size of a tensor."""
_LAYER = re.compile(r"^(.*?)\.(\d+)\.(.*)$")


class Angle(NamedTuple):
    """What lies between a tensor of the base and the checkpoint's."""

    name: str
    num_parameters: int
    cosine: float
    """Of the two as flat vectors; 1 where one of them is zero, as the formula has it then."""
    relative_change: float
    """||checkpoint - base|| / ||base||; 1 if only the base is zero."""

    @property
    def degrees(self) -> float:
        return math.degrees(math.acos(self.cosine))

    @property
    def linear(self) -> bool:
        """Whether SLERP interpolates linearly."""
        return abs(self.cosine) > LINEAR_FROM

    @property
    def layer(self) -> int | None:
        """Counted from 0; None outside of the layers."""
        fit = _LAYER.match(self.name)
        return int(fit[2]) if fit else None

    @property
    def component(self) -> str:
        """The same in every layer: `self_attn.q_proj`, `input_layernorm`; else the whole name."""
        fit = _LAYER.match(self.name)
        return (fit[3] if fit else self.name).removesuffix(".weight")


def angles(base: Path, checkpoint: Path) -> list[Angle]:
    """Of every tensor, by name; both directories have the same tensors."""
    with open_weights(base) as ours, open_weights(checkpoint) as theirs:
        found = []
        with Progress("inspect", total=len(ours.names), unit="tensor") as progress:
            for name in ours.names:
                found.append(angle(name, ours.get(name), theirs.get(name)))
                progress.update()
        return found


def angle(name: str, base: torch.Tensor, checkpoint: torch.Tensor) -> Angle:
    """Between two tensors of one shape, in any float type."""
    dot = ours = theirs = change = 0.0
    for a, b in zip(_pieces(base), _pieces(checkpoint), strict=True):
        dot += float(a @ b)
        ours += float(a @ a)
        theirs += float(b @ b)
        difference = b - a
        change += float(difference @ difference)
    length = math.sqrt(ours) * math.sqrt(theirs)
    cosine = min(1.0, max(-1.0, dot / length)) if length else 1.0
    relative = math.sqrt(change / ours) if ours else float(change > 0)
    return Angle(name, base.numel(), cosine, relative)


def _pieces(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    flat = tensor.flatten()
    for start in range(0, flat.numel(), CHUNK_ELEMENTS):
        yield flat[start : start + CHUNK_ELEMENTS].double()
