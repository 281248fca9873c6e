"""How much memory one process needs at least for a step, and which setting fits.

Tested in tests/trainer/test_run.py.
"""

from __future__ import annotations

from bedside_models.footprint import LOGITS_TRAINED, Demand, Shape
from bedside_trainer.config import TrainerConfig

KEPT = {"none": 34, "selective": 12, "full": 2}
"""Bytes per token, layer and hidden unit that the backward pass finds in 16 bits, by checkpointing:
all of Korthikanti et al. 2022 but the matrix of attention; outputs of products; a layer's input."""
STATE = {"float32": 16, "bfloat16": 12, "int8": 10}
"""Bytes of a parameter by the type of moments: float32 weight and gradient, and two moments."""


def demand(shape: Shape, config: TrainerConfig, *, longest: int, sharers: int) -> Demand:
    """What training asks of the device.

    Args:
        shape: of the model.
        config: of the training.
        longest: tokens of the longest row.
        sharers: processes that hold one copy of the model between them.
    """
    settings = config.step
    kept = KEPT[settings.activation_checkpointing] * shape.layers * shape.hidden

    def need(tokens: int) -> int:
        logits = min(tokens, settings.loss_chunk_tokens) * shape.vocabulary * LOGITS_TRAINED
        return shape.parameters * STATE[settings.moments] // sharers + tokens * kept + logits

    rows = max(1, (settings.micro_batch_tokens or 0) // longest)
    return Demand(
        "training",
        need,
        batch=("the rows in trainer.step.micro_batch_tokens", rows),
        length=("trainer.sequence_length", longest),
    )
