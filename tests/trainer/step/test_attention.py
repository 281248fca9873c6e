"""A piece in a row gives what it gives alone, and so do the gradients, in the models we train."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from bedside_core.errors import InputError
from bedside_models.likelihood import IGNORED
from bedside_trainer.step import attention as attending
from bedside_trainer.step.attention import NAME, attend, attention
from bedside_trainer.step.batch import Batch, pieces
from bedside_trainer.step.loss import summed_nll

SIZE = {
    "vocab_size": 128, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
    "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0,
}  # fmt: skip
WINDOW = {"sliding_window": 7}
CAPS = {"attn_logit_softcapping": 1.0, "final_logit_softcapping": 2.0}
MODELS = {
    "Llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZE)),
    "Qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZE, head_dim=8)),
    "Mistral with window": lambda: MistralForCausalLM(MistralConfig(**SIZE, **WINDOW)),
    "Gemma 2": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZE, **WINDOW, **CAPS, head_dim=8)),
    "Gemma 3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SIZE, **WINDOW, head_dim=8)),
    "Cohere": lambda: CohereForCausalLM(CohereConfig(**SIZE)),
    "Granite": lambda: GraniteForCausalLM(GraniteConfig(**SIZE, logits_scaling=3.0)),
}
LENGTHS = (11, 30, 1)
"""Of the pieces: the second is longer than windows are."""


def predicting(ids: list[list[int]]) -> Batch:
    """A batch in which every token but a piece's first is a target."""
    row = pieces(ids, torch.device("cpu"))
    targets = [*(token for piece in ids for token in (*piece[1:], IGNORED))]
    return Batch(
        row.input_ids, row.position_ids, torch.tensor(targets), row.boundaries, row.longest
    )


def gradients(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    found = {name: weight.grad for name, weight in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    return {name: gradient for name, gradient in found.items() if gradient is not None}


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return ((one - other).norm() / other.norm()).item()


@pytest.mark.parametrize("name", MODELS)
def test_pieces_see_each_other_or_the_loss_is_not_the_models_own(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attending, "BLOCK", 8)  # so that queries are worked on in several blocks
    torch.manual_seed(0)
    model = MODELS[name]()
    for weight in model.parameters():
        if weight.dim() > 1:  # larger than at initialisation: who sees whom matters
            torch.nn.init.normal_(weight, std=0.3)
    ids = [torch.randint(128, (length,)).tolist() for length in LENGTHS]
    with attention(model, "eager"):
        alone = [model(input_ids=torch.tensor([i]), use_cache=False).logits for i in ids]
        own = [
            F.cross_entropy(logits[0, :-1].float(), torch.tensor(piece)[1:], reduction="sum")
            for logits, piece in zip(alone, ids, strict=True)
            if len(piece) > 1
        ]
        total = torch.stack(own).sum()
        total.backward()
    expected = gradients(model)
    batch = predicting(ids)
    with attention(model, NAME):
        row = model(**batch.inputs).logits
        assert distance(row, torch.cat(alone, dim=1)) < 1e-5
        for chunk in (1000, 7):  # all logits at once; a few at a time
            loss = summed_nll(model, batch, chunk)
            (2 * loss).backward()
            assert loss.item() == pytest.approx(total.item(), rel=1e-6)
            found = gradients(model)
            assert found.keys() == expected.keys()
            assert max(distance(found[n], 2 * expected[n]) for n in found) < 2e-5
        with torch.no_grad():
            assert summed_nll(model, batch, 7).item() == pytest.approx(total.item(), rel=1e-6)


def test_a_call_without_boundaries_is_answered() -> None:
    states = torch.zeros(1, 2, 4, 8)
    with pytest.raises(InputError, match="does not hand the boundaries"):
        attend(torch.nn.Identity(), states, states, states, None)


def test_queries_have_the_type_that_kernels_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotations give float32 under autocast, and on a GPU no kernel was ever found for it."""
    seen = set()
    found = attending._has_kernel
    monkeypatch.setattr(
        attending, "_has_kernel", lambda query, *rest: seen.add(query.dtype) or found(query, *rest)
    )
    torch.manual_seed(0)
    model = MODELS["Llama"]()
    with attention(model, NAME), torch.autocast("cpu", torch.bfloat16):
        summed_nll(model, predicting([[1, 2, 3], [4, 5]]), 8).backward()
    assert seen == {torch.bfloat16}
