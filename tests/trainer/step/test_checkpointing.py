"""Checkpointing changes what is kept, and no gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bedside_core.errors import InputError
from bedside_trainer.step.attention import NAME
from bedside_trainer.step.batch import Batch, pieces
from bedside_trainer.step.checkpointing import checkpoint_activations
from bedside_trainer.step.loss import summed_nll
from bedside_trainer.step.settings import Checkpointing


def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=64, intermediate_size=128, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def kept_and_gradient(mode: Checkpointing) -> tuple[int, torch.Tensor]:
    """Bytes that autograd keeps besides weights, and the gradient of a weight."""
    made: Any = model()
    made.set_attn_implementation(NAME)
    checkpoint_activations(made, mode)
    made.train()
    weights = {weight.untyped_storage().data_ptr() for weight in made.parameters()}
    seen: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            seen[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    row = pieces([list(range(40)), list(range(24))], torch.device("cpu"))
    batch = Batch(
        row.input_ids, row.position_ids, row.input_ids[0].roll(-1), row.boundaries, row.longest
    )
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = summed_nll(made, batch, 16)
    size = sum(tensor.untyped_storage().nbytes() for tensor in seen.values())
    loss.backward()
    return size, made.model.layers[0].self_attn.q_proj.weight.grad


def test_less_is_kept_and_the_gradient_is_another() -> None:
    none, expected = kept_and_gradient("none")
    full, of_full = kept_and_gradient("full")
    _, of_selective = kept_and_gradient("selective")
    assert full < none / 3
    assert torch.equal(of_full, expected)
    assert torch.equal(of_selective, expected)


def test_a_model_that_cannot_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = model()
    monkeypatch.setattr(type(made), "supports_gradient_checkpointing", False)
    with pytest.raises(InputError, match=r"set trainer\.step\.activation_checkpointing to none"):
        checkpoint_activations(made, "full")
