"""Stochastic rounding: to a neighbour, right on average, the same for the same seed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_merger.stochastic import round_stochastically


def neighbours(value: float) -> set[float]:
    """The bfloat16 numbers below and above, by the bits of a float32."""
    bits = torch.tensor(value).view(torch.int32)
    towards_zero = bits & -65536
    away = towards_zero if towards_zero == bits else towards_zero + 65536
    return {float(b.view(torch.float32)) for b in (towards_zero, away)}


@settings(deadline=None)
@given(st.floats(-(2.0**100), 2.0**100, width=32), st.integers(0, 2**56 - 1))
def test_one_of_the_two_neighbours(value: float, seed: int) -> None:
    found = round_stochastically(torch.full((7,), value), seed)
    assert {float(x) for x in found} <= neighbours(value)


@pytest.mark.parametrize("value", [1.001, -1.001, 0.0301, 3e-5, -250.3])
def test_right_on_average(value: float) -> None:
    count = 200_000
    found = round_stochastically(torch.full((count,), value), 3).double()
    below, above = sorted(neighbours(value))
    # Five standard errors of a mean of numbers that are one or the other.
    assert abs(found.mean() - value) < 5 * (above - below) / 2 / count**0.5


def test_pieces_have_noise_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bedside_merger.stochastic.CHUNK_ELEMENTS", 100)
    found = round_stochastically(torch.full((3, 100), 1.001), 0)
    assert found.shape == (3, 100)
    assert not torch.equal(found[0], found[1])


def test_the_same_seed_gives_the_same_bits() -> None:
    tensor = torch.randn(50, 3)
    assert torch.equal(round_stochastically(tensor, 5), round_stochastically(tensor, 5))
    assert not torch.equal(round_stochastically(tensor, 5), round_stochastically(tensor, 6))
