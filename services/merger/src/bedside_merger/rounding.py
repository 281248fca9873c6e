"""What storing a merge in 16 bits costs its weights.

bfloat16 keeps 8 significant bits: an update that is smaller than about 1/500 of its weight can
round away altogether, and continual pre-training makes many such updates.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, field
from typing import Any

import torch

CHUNK_ELEMENTS = 1 << 18
"""Bounds the float64 scratch to what the processor's cache holds, whatever the size of a tensor."""
GROUPS = ("self_attn", "mlp", "embed", "lm_head")
OTHER = "norm"


@dataclass(slots=True)
class RoundingTally:
    """Sums over elements; energies are sums of squares in float64."""

    num_parameters: int = 0
    base_energy: float = 0.0
    update_energy: float = 0.0
    lost_energy: float = 0.0
    num_changed: int = 0
    num_vanished: int = 0

    def add(self, base: torch.Tensor, merged: torch.Tensor, rounded: torch.Tensor) -> None:
        """Count one piece of a tensor: flat, equal sizes, `rounded` is `merged` as stored."""
        exact, before, after = merged.double(), base.double(), rounded.double()
        changed = exact != before
        self.num_parameters += exact.numel()
        self.base_energy += before.square().sum().item()
        self.update_energy += (exact - before).square().sum().item()
        self.lost_energy += (after - exact).square().sum().item()
        self.num_changed += int(changed.sum())
        # Against the base as it would be stored, so that a float32 base counts the same way.
        self.num_vanished += int((changed & (rounded == base.to(rounded.dtype))).sum())

    def report(self) -> dict[str, float | int | None]:
        """The shares: None where there was no update at all."""
        return {
            "num_parameters": self.num_parameters,
            "relative_update": math.sqrt(self.update_energy / self.base_energy)
            if self.base_energy
            else None,
            "lost_energy_share": self.lost_energy / self.update_energy
            if self.update_energy
            else None,
            "changed_share": self.num_changed / self.num_parameters,
            "vanished_share": self.num_vanished / self.num_changed if self.num_changed else None,
        }


@dataclass(slots=True)
class Rounding:
    """The tallies of a whole model by group of tensors."""

    groups: dict[str, RoundingTally] = field(default_factory=dict)

    @property
    def overall(self) -> RoundingTally:
        """The sum of all groups."""
        rows = [astuple(tally) for tally in self.groups.values()]
        return RoundingTally(*(sum(column) for column in zip(*rows, strict=True)))

    def add(
        self, name: str, base: torch.Tensor, merged: torch.Tensor, rounded: torch.Tensor
    ) -> None:
        """Count the tensor `name`; base in any float type, merged in float32, rounded as stored."""
        group = self.groups.setdefault(group_of(name), RoundingTally())
        pieces = (_pieces(tensor) for tensor in (base, merged, rounded))
        for before, exact, after in zip(*pieces, strict=True):
            group.add(before, exact, after)

    def report(self) -> dict[str, Any]:
        return {
            "overall": self.overall.report(),
            "groups": {name: tally.report() for name, tally in sorted(self.groups.items())},
        }


def group_of(name: str) -> str:
    """The group of a tensor: attention, feed-forward, embeddings, output head or norms."""
    return next((group for group in GROUPS if group in name), OTHER)


def _pieces(tensor: torch.Tensor) -> list[torch.Tensor]:
    flat = tensor.flatten()
    return [flat[i : i + CHUNK_ELEMENTS] for i in range(0, flat.numel(), CHUNK_ELEMENTS)]
