"""Angles against numpy, and the branch against what mergekit's SLERP really does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mergekit.merge_methods.slerp import slerp

from bedside_merger.inspection.angles import LINEAR_FROM, Angle, angle


def test_against_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bedside_merger.inspection.angles.CHUNK_ELEMENTS", 10)
    generator = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 7, 9, generator=generator)
    found = angle("x", a.bfloat16(), b)
    x, y = a.bfloat16().double().numpy().ravel(), b.double().numpy().ravel()
    cosine = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
    assert found.cosine == pytest.approx(cosine, rel=1e-12)
    assert found.degrees == pytest.approx(math.degrees(math.acos(cosine)))
    assert found.relative_change == pytest.approx(np.linalg.norm(y - x) / np.linalg.norm(x))
    assert (found.num_parameters, found.linear) == (63, False)


@pytest.mark.parametrize(
    ("base", "other", "degrees", "change"),
    [
        ((1.0, 0.0), (1.0, 0.0), 0, 0),
        ((1.0, 0.0), (0.0, 2.0), 90, math.sqrt(5)),
        ((1.0, 0.0), (-1.0, 0.0), 180, 2),
        ((0.0, 0.0), (0.0, 0.0), 0, 0),
        ((0.0, 0.0), (1.0, 0.0), 0, 1),
    ],
)
def test_by_hand(base: tuple[float, ...], other: tuple[float, ...], degrees: float, change: float):
    found = angle("x", torch.tensor(base), torch.tensor(other))
    assert (found.degrees, found.relative_change) == pytest.approx((degrees, change))


@pytest.mark.parametrize("degrees", [0.5, 1.7, 1.9, 30.0, 178.0, 179.0])
def test_the_branch_is_mergekits(degrees: float) -> None:
    """A spherical mean of two unit vectors is a unit vector; a linear one is shorter."""
    turn = math.radians(degrees)
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([math.cos(turn), math.sin(turn)])
    half = slerp(torch.tensor([0.5]), a[None].double(), b[None].double())
    spherical = abs(float(half.norm()) - 1) < 1e-6
    assert angle("x", a, b).linear is not spherical


def test_names() -> None:
    def named(name: str) -> tuple[int | None, str]:
        one = Angle(name, 1, 1.0, 0.0)
        return one.layer, one.component

    assert named("model.layers.12.self_attn.q_proj.weight") == (12, "self_attn.q_proj")
    assert named("model.layers.0.mlp.gate_proj.bias") == (0, "mlp.gate_proj.bias")
    assert named("model.embed_tokens.weight") == (None, "model.embed_tokens")
    assert Angle("x", 1, 0.9996, 0).linear
    assert math.degrees(math.acos(LINEAR_FROM)) == pytest.approx(1.812, abs=1e-3)
