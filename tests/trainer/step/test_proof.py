"""The proof at the start of a training finds each way in which pieces are not isolated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM

from bedside_core.errors import InputError
from bedside_trainer.step import proof
from bedside_trainer.step.attention import attend
from bedside_trainer.step.precision import Compute
from bedside_trainer.step.proof import prove_isolation


@pytest.fixture
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def leaking(*args: Any, cu_seq_lens_q: torch.Tensor, **options: Any) -> Any:
    return attend(*args, cu_seq_lens_q=cu_seq_lens_q[[0, -1]], **options)


def scaled(*args: Any, scaling: float, **options: Any) -> Any:
    return attend(*args, scaling=scaling * 1000, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_isolated_model_is_refused(model: Any, dtype: torch.dtype) -> None:
    generator = torch.get_rng_state()
    prove_isolation(model, Compute(dtype, sharded=False))
    assert torch.equal(torch.get_rng_state(), generator)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("other", "message"),
    [(leaking, "see each other"), (scaled, "attends in a way that the trainer does not know")],
)
def test_a_lost_boundary_or_another_attention_is_trained_with(
    model: Any,
    dtype: torch.dtype,
    other: Callable[..., Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.3)
    monkeypatch.setattr(proof, "NAME", "bedside_test")
    AttentionInterface.register("bedside_test", other)
    with pytest.raises(InputError, match=message):
        prove_isolation(model, Compute(dtype, sharded=False))
