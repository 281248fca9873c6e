"""Low-rank adaptation (Hu et al. 2021, "LoRA"), for a hospital with one small card.

Only the adapters have gradients and moments: a 7B then needs its weights and a few hundred MB
instead of 16 bytes for each of its parameters. At the end the adapters are merged into full
weights, in float32, so that merge, evaluation and engine see an ordinary checkpoint.

It learns less than full training and forgets less (Biderman et al. 2024, "LoRA learns less and
forgets less"). The best rate is about ten times that of full training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bedside_core.config import Config

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TARGETS = "all-linear"
"""Every linear layer but the output; attention alone learns less (Biderman et al., section 4)."""


class Lora(Config):
    """The adapters of `method: lora`."""

    rank: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[int, Field(ge=1)] = 32
    """What an adapter gives is scaled by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Adapters:
    """The adapters of one model; it is changed in place and computes with them from now on."""

    def __init__(self, model: PreTrainedModel, config: Lora, seed: int) -> None:
        """Put an adapter beside each linear layer; everything else is frozen.

        Args:
            model: on a real device.
            config: their size.
            seed: of their first values.
        """
        import torch
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(seed)
        settings = LoraConfig(
            r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout,
            target_modules=TARGETS, bias="none", task_type="CAUSAL_LM",
        )  # fmt: skip
        # Adapters are float32, also beside frozen weights in bfloat16.
        self._wrapped: Any = get_peft_model(model, settings, autocast_adapter_dtype=True)

    def merge(self) -> PreTrainedModel:
        """The model with full float32 weights, under their own names, and without adapters.

        It is merged in memory, as a card that adapters need has no room for float32.
        """
        import torch

        self._wrapped.to("cpu", torch.float32)
        merged: PreTrainedModel = self._wrapped.merge_and_unload()
        for parameter in merged.parameters():
            parameter.requires_grad_(True)
        return merged
