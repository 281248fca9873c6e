"""The mean of milestones is the mean, in any order and with tied weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bedside_trainer.average import average


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(3, 2)
        self.head = torch.nn.Linear(2, 3, bias=False)
        self.head.weight = self.embed.weight
        self.norm = torch.nn.LayerNorm(2)


def weights(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(value.shape, generator=generator)
        for name, value in Tied().named_parameters()
    }


@given(seeds=st.lists(st.integers(0, 99), min_size=1, max_size=6))
def test_it_is_the_mean(seeds: list[int]) -> None:
    model = Tied()
    average(model, seeds, lambda seed: model.load_state_dict(weights(seed), strict=False) and None)
    assert model.head.weight is model.embed.weight
    for name, value in model.named_parameters():
        exact = torch.stack([weights(seed)[name].double() for seed in seeds]).mean(0)
        torch.testing.assert_close(value.double(), exact, rtol=1e-6, atol=1e-6)
        assert value.requires_grad


def test_one_is_itself_bit_for_bit() -> None:
    model = Tied()
    average(model, [4], lambda seed: model.load_state_dict(weights(seed), strict=False) and None)
    assert all(torch.equal(v, weights(4)[n]) for n, v in model.named_parameters())


def test_what_cannot_be_loaded_is_not_hidden() -> None:
    def missing(step: int) -> None:
        raise FileNotFoundError(step)

    with pytest.raises(FileNotFoundError):
        average(Tied(), [1], missing)
