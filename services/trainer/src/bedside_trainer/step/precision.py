"""What the matrix products are computed in; weights, gradients' sums and moments are float32.

Tested in tests/trainer/step/test_proof.py.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch

from bedside_trainer.step.settings import ComputeSetting


class Compute(NamedTuple):
    """The type, and who casts to it."""

    dtype: torch.dtype
    sharded: bool
    """Whether the sharding casts weights as it gathers them (`parallel.mesh`)."""

    @property
    def name(self) -> str:
        return str(self.dtype).removeprefix("torch.")

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Cast what goes into matrix products, where nobody else does."""
        if self.sharded or self.dtype == torch.float32:
            return nullcontext()
        # Without the cache, which keeps a copy of every weight to the end of the forward pass: each
        # is cast once anyway, and 15 GB of a 7B's are too many where activations are made again.
        return torch.autocast(device.type, self.dtype, cache_enabled=False)


def compute_in(setting: ComputeSetting, device: torch.device, *, sharded: bool) -> Compute:
    """`auto`: bfloat16 where a GPU has it, else float32 (processors are slow in bfloat16)."""
    if setting == "auto":
        able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        setting = "bfloat16" if able else "float32"
    return Compute(getattr(torch, setting), sharded)
