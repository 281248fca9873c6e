"""Proof, on the very model that is about to be trained, that pieces of a row are isolated.

Two pieces of random tokens in one row. Other tokens in the first piece must not change one bit of
what the second one gives; and that must be what it gives alone, with the attention that the
model's authors wrote, which finds what ours does not have (sinks, biases of position).
"""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from bedside_core.errors import InputError
from bedside_trainer.parallel.mesh import give_back
from bedside_trainer.step.attention import NAME, attention
from bedside_trainer.step.batch import pieces
from bedside_trainer.step.precision import Compute

LENGTHS = (5, 9)
"""Tokens of the two pieces."""
TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 0.1}
"""Largest relative distance (L2) between a piece in a row and alone, by compute type. Rounding
gives 1e-6 and 1e-2; a piece that sees its neighbour, or lacks a bias, is far beyond."""


@torch.no_grad()
def prove_isolation(model: PreTrainedModel, compute: Compute) -> None:
    """Refuse a model whose pieces see each other; leaves it in evaluation mode.

    Raises:
        InputError: they do, or the model attends in a way that `attend` does not know.
    """
    model.train(mode=False)
    device = model.device
    generator = torch.Generator().manual_seed(0)
    vocabulary = int(model.config.get_text_config(decoder=True).vocab_size)
    first, other, second = (
        torch.randint(vocabulary, (length,), generator=generator).tolist()
        for length in (LENGTHS[0], *LENGTHS)
    )

    def logits(*ids: list[int]) -> torch.Tensor:
        with compute.autocast(device):
            row = pieces(ids, device)
            return model(**row.inputs, logits_to_keep=LENGTHS[1]).logits[0].float()  # type: ignore[no-any-return]

    with attention(model, NAME):
        row, changed = logits(first, second), logits(other, second)
        if not torch.equal(row, changed):
            raise InputError(
                "documents in a row see each other in this model, whatever their boundaries - "
                "choose another base"
            )
    with attention(model, "eager"):
        alone = logits(second)
    give_back(model)
    distance = ((row - alone).norm() / alone.norm()).item()
    if not distance <= TOLERANCES[compute.dtype]:
        raise InputError(
            f"this model attends in a way that the trainer does not know: a document in a row is "
            f"{distance:.1g} away from itself alone - choose another base"
        )
