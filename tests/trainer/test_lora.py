"""Adapters alone learn, and what is merged is an ordinary model that computes alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bedside_models.load import load_model
from bedside_trainer.lora import Adapters, Lora

IDS = torch.tensor([[5, 9, 4, 7, 11, 3, 8, 6]])


def trained(model: torch.nn.Module, steps: int = 3) -> None:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(steps):
        model(input_ids=IDS, labels=IDS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def test_the_merged_model_has_the_base_s_names_and_the_adapted_one_s_numbers(
    model_directory: Path,
) -> None:
    base = load_model(model_directory)
    names = {name: value.shape for name, value in base.named_parameters()}
    before = {name: value.detach().clone() for name, value in base.named_parameters()}
    adapters = Adapters(base, Lora(rank=4), seed=3)
    train = [name for name, value in base.named_parameters() if value.requires_grad]
    assert train
    assert all("lora_" in name for name in train)
    base.eval()
    with torch.no_grad():
        assert torch.equal(base(input_ids=IDS).logits, load_model(model_directory).eval()(
            input_ids=IDS).logits), "an adapter begins as nothing"  # fmt: skip
    trained(base)
    with torch.no_grad():
        adapted = base(input_ids=IDS).logits
    merged = adapters.merge()
    assert merged is base
    assert {name: value.shape for name, value in merged.named_parameters()} == names
    assert merged.lm_head.weight is merged.model.embed_tokens.weight
    with torch.no_grad():
        torch.testing.assert_close(merged(input_ids=IDS).logits, adapted, rtol=1e-4, atol=1e-5)
    changed = {n for n, value in merged.named_parameters() if not torch.equal(value, before[n])}
    assert changed == {n for n in names if "proj" in n}


def test_the_seed_decides_how_they_begin(model_directory: Path) -> None:
    def first(seed: int) -> list[torch.Tensor]:
        model = load_model(model_directory)
        Adapters(model, Lora(rank=2), seed=seed)
        return [value.detach() for name, value in model.named_parameters() if "lora_" in name]

    one, same, other = first(1), first(1), first(2)
    assert all(map(torch.equal, one, same))
    assert not all(map(torch.equal, one, other))


def test_frozen_weights_may_be_bfloat16_and_are_merged_in_float32(model_directory: Path) -> None:
    model = load_model(model_directory, "bfloat16")
    adapters = Adapters(model, Lora(rank=2), seed=1)
    types = {value.requires_grad: value.dtype for value in model.parameters()}
    assert types == {True: torch.float32, False: torch.bfloat16}
    assert {value.dtype for value in adapters.merge().parameters()} == {torch.float32}


@pytest.mark.parametrize("values", [{"rank": 0}, {"alpha": 0}, {"dropout": 1}])
def test_impossible_adapters_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        Lora.model_validate(values)
