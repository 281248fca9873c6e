"""The sections `trainer.step` and `trainer.parallel` of a run config; no torch is imported.

Tested in tests/trainer/step/test_settings.py.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bedside_core.config import Config

Checkpointing = Literal["none", "selective", "full"]
ComputeSetting = Literal["auto", "bfloat16", "float32"]
Moments = Literal["float32", "bfloat16", "int8"]
Shard = Literal["auto"] | Annotated[int, Field(ge=1)]


class Step(Config):
    """What an optimizer step costs in time and memory, not what it learns, up to rounding."""

    micro_batch_tokens: int | None = Field(default=None, ge=1)
    """Tokens that go through the model at once, in whole rows; by default one row. Gradients add up
    over the micro-batches of a step, each predicted token counting alike."""
    compute: ComputeSetting = "auto"
    """Of matrix products; weights stay float32. `auto` is bfloat16 on a GPU that has it."""
    activation_checkpointing: Checkpointing = "none"
    """What the backward pass needs is kept (`none`), or made again: all (`full`: a third more to
    compute), or all but the outputs of matrix products and of attention (`selective`)."""
    loss_chunk_tokens: int = Field(default=1024, ge=1)
    """Tokens whose logits are in memory at once."""
    moments: Moments = "float32"
    """How AdamW's two moments are stored: 8, 4 or 2 bytes of a parameter."""
    compile: bool = False
    """Compile the decoder's layers with torch.compile; needs a C compiler."""
    liger: bool = False
    """Use Liger Kernel's Triton kernels for norms, rotations and activations; needs a GPU, and the
    package liger-kernel."""


class Parallel(Config):
    """Several processes that train one model."""

    shard: Shard = "auto"
    """Processes that hold one copy of weights, gradients and moments between them; `auto`: all of a
    machine. Copies are kept equal across machines."""
