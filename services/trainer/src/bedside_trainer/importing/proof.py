"""Whether what was saved is what was loaded: names, shapes, numbers, and logits after a reload.

Tested in tests/trainer/importing/test_shapes.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from bedside_models.load import dtype_of, load_model
from bedside_models.tensors import open_weights
from bedside_trainer.importing.conditions import TRAINER, refusal

PROBED = 16
"""Tokens whose logits are compared."""
TOLERANCE = 2**-7
"""How far logits may be apart, relative to the largest: a digit of bfloat16. Equal numbers at other
addresses may be added in another order; a weight in a wrong place changes far more."""


def prove(model: PreTrainedModel, directory: Path) -> dict[str, float]:
    """Compare a model with its directory; the model is empty afterwards, as one copy must do.

    Returns:
        For the manifest: how many tensors and tokens, and the largest relative difference.

    Raises:
        InputError: they differ, so transformers does not save this architecture as it loads it.
    """
    if differ := differences(model, directory):
        raise refusal(
            TRAINER,
            f"transformers does not save this {type(model).__name__} as it loads it "
            f"({len(differ)} tensors, {differ[0]} first)",
            "take another architecture",
        )
    expected, dtype = logits(model), dtype_of(model)
    torch.nn.Module.to(model, "meta")
    again = load_model(directory, dtype)
    return {
        "tensors": len(stored(again)),
        "tokens": len(expected),
        "largest_difference": check_same(logits(again), expected),
    }


def differences(model: PreTrainedModel, directory: Path) -> list[str]:
    """Names of the tensors that only one of both has, or has otherwise."""
    state = stored(model)
    with open_weights(directory) as weights:
        differ = set(weights.names) ^ set(state)
        for name in state.keys() - differ:
            held = weights.get(name)
            if held.dtype != state[name].dtype or not torch.equal(held, state[name]):
                differ.add(name)
    return sorted(differ)


def stored(model: PreTrainedModel) -> dict[str, Tensor]:
    """The tensors of a model by name; one that has two names (tied embeddings) by its first."""
    names: dict[int, str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        names.setdefault(id(tensor), name)
    state = model.state_dict()
    return {name: state[name] for name in names.values()}


@torch.no_grad()
def logits(model: PreTrainedModel) -> Tensor:
    """Of tokens from all over the vocabulary; shape (tokens, vocabulary), float32."""
    any_model: Any = model.train(mode=False)
    rows = len(any_model.get_input_embeddings().weight)
    ids = torch.linspace(0, rows - 1, min(PROBED, rows)).long()[None]
    found: Tensor = any_model(input_ids=ids, use_cache=False).logits[0]
    return found.float()


def check_same(found: Tensor, expected: Tensor) -> float:
    """The largest difference of logits, relative to the largest logit.

    Raises:
        InputError: it is more than rounding, or one is no number.
    """
    difference = float((found - expected).abs().max() / expected.abs().max())
    if not difference <= TOLERANCE:
        raise refusal(
            TRAINER,
            f"saved and loaded again, the model gives other logits (by {difference:.2g})",
            "take another architecture",
        )
    return difference
