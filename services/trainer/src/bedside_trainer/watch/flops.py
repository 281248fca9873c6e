"""What a step computes, and which share of what the devices can do that is (MFU)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from transformers import PretrainedConfig

from bedside_trainer.hardware import peak_flops


class Flops(NamedTuple):
    """Floating-point operations of training, forward and backward, recomputation left out.

    As counted by Chowdhery et al. 2022 (PaLM, appendix B): 6 per parameter and token, and for
    attention 12 per layer, unit of width and pair of positions, without a discount for causality.
    """

    per_token: float
    """6 for each parameter that is trained; 4 for each that is frozen, which has no gradient."""
    per_pair: float
    """Of attention, for each ordered pair of positions that share a sequence."""

    def of(self, tokens: int, squares: int) -> float:
        """Of so many tokens whose sequences' squared lengths sum to `squares`."""
        return self.per_token * tokens + self.per_pair * squares


def count(model: torch.nn.Module, config: PretrainedConfig) -> Flops:
    """Count a model's operations; sharded parameters count as a whole."""
    per_token = sum(p.numel() * (6 if p.requires_grad else 4) for p in model.parameters())
    text = config.get_text_config(decoder=True)
    layers, width = (
        int(getattr(text, name, 0) or 0) for name in ("num_hidden_layers", "hidden_size")
    )
    heads = int(getattr(text, "num_attention_heads", 0) or 0)
    size = int(getattr(text, "head_dim", 0) or 0)
    return Flops(float(per_token), 12.0 * layers * (heads * size or width))


def peak_here() -> float | None:
    """FLOP per second of this process's GPU, if it is a known one."""
    if not torch.cuda.is_available():
        return None
    return peak_flops(torch.cuda.get_device_name())
