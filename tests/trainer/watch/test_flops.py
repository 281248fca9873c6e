from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from bedside_trainer.watch.flops import count

CONFIG = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, tie_word_embeddings=False,
    attn_implementation="eager",  # torch counts no products of the processor's fused kernel
)  # fmt: skip


def test_it_is_what_a_step_computes() -> None:
    """Torch counts products as they run; embeddings are counted by the convention, and free."""
    model = LlamaForCausalLM(CONFIG)
    rows, length = 2, 48
    ids = torch.randint(64, (rows, length))
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    lookup = 6 * rows * length * model.model.embed_tokens.weight.numel()
    ours = count(model, CONFIG).of(rows * length, rows * length**2) - lookup
    assert counter.get_total_flops() == pytest.approx(ours, rel=0.05)


def test_frozen_parameters_have_no_gradient() -> None:
    model = LlamaForCausalLM(CONFIG)
    size = model.num_parameters()
    assert count(model, CONFIG).per_token == 6 * size
    model.requires_grad_(False)
    assert count(model, CONFIG).per_token == 4 * size
    assert count(model, CONFIG).per_pair == 12 * 3 * 4 * 16
