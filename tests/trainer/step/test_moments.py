"""Smaller moments: they train as float32 ones do, and take as little as they say."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from bedside_trainer.step import moments
from bedside_trainer.step.moments import SmallAdamW

BETAS = (0.9, 0.95)
Small = Literal["bfloat16", "int8"]


def trained(kind: str, steps: int = 200) -> tuple[float, torch.optim.Optimizer]:
    """Distance to the solution of a least-squares problem after some steps."""
    torch.manual_seed(0)
    inputs, wanted = torch.randn(600, 300), torch.randn(300, 8)
    weight = torch.nn.Parameter(torch.zeros(300, 8))
    bias = torch.nn.Parameter(torch.ones(8))
    given = {"lr": 1e-2, "betas": BETAS}
    optimizer: torch.optim.Optimizer
    if kind == "float32":
        optimizer = torch.optim.AdamW([weight, bias], **given, weight_decay=0.0)  # type: ignore[arg-type]
    else:
        optimizer = SmallAdamW([weight, bias], **given, moments=kind)  # type: ignore[arg-type]
    for _ in range(steps):
        ((inputs @ weight + bias - inputs @ wanted) ** 2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return ((weight - wanted).norm() / wanted.norm()).item(), optimizer


@pytest.mark.parametrize("kind", ["bfloat16", "int8"])
def test_small_moments_train_worse(kind: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "PIECE", 100)  # matrices are worked on in pieces
    exact, _ = trained("float32")
    found, optimizer = trained(kind)
    assert exact < 0.5
    assert found == pytest.approx(exact, rel={"bfloat16": 0.05, "int8": 0.25}[kind])
    weight, bias = (optimizer.state[p] for p in optimizer.param_groups[0]["params"])
    stored = {k: v for k, v in weight.items() if k in ("exp_avg", "exp_avg_sq")}
    assert {v.dtype for v in stored.values()} == {getattr(torch, kind)}
    assert bias["exp_avg"].dtype == torch.float32
    assert all(value.is_contiguous() for value in weight.values())


def test_small_changes_are_lost() -> None:
    """Rounded to nearest, 1 + 0.001 is 1 in bfloat16, however often it is added."""
    stored = torch.ones(64, 64, dtype=torch.bfloat16)
    state = {"exp_avg": stored}
    torch.manual_seed(0)
    for _ in range(100):
        moments._store(state, "exp_avg", stored.float() + 0.001)
    assert stored.float().mean().item() == pytest.approx(1.1, abs=0.005)


def test_a_small_second_moment_becomes_zero() -> None:
    """Beside one a million times as large: its step would have no bound."""
    value = torch.full((2, 300), 1e-6)
    value[:, 0] = 1.0
    state = {
        "exp_avg_sq": torch.zeros(2, 300, dtype=torch.int8),
        "exp_avg_sq_scale": torch.zeros(2, 2),
    }
    moments._store(state, "exp_avg_sq", value)
    read = moments._read(state, "exp_avg_sq")
    assert (read >= value * 0.999).all()
    assert read[0, 0].item() == pytest.approx(1.0, rel=1e-5)
    assert (read[:, 256:] < 2e-6).all(), "the scale of a block is its own"


def test_the_same_generator_gives_the_same_moments() -> None:
    (first, one), (second, other) = trained("int8", 5), trained("int8", 5)
    assert first == second
    for mine, theirs in zip(one.state.values(), other.state.values(), strict=True):
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_vectors_alone_are_adamw() -> None:
    """With moments in float32, which vectors keep, it is torch's own AdamW."""
    torch.manual_seed(0)
    start = torch.randn(50)
    found = []
    for make in (torch.optim.AdamW, SmallAdamW):
        weight = torch.nn.Parameter(start.clone())
        options = {"moments": "int8"} if make is SmallAdamW else {}
        group = {"params": [weight], "weight_decay": 0.1}
        optimizer = make([group], lr=1e-2, betas=BETAS, **options)
        for step in range(10):
            (weight.sin() * (step + 1)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        found.append(weight.detach())
    torch.testing.assert_close(found[1], found[0])
