"""The learning rate stays within its bounds, and is what the papers and transformers say."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from bedside_trainer.schedule import Schedule

KINDS = ("linear", "constant", "wsd", "rewarm")


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    kind = draw(st.sampled_from(KINDS))
    values: dict[str, Any] = {"kind": kind}
    if draw(st.booleans()):
        values["warmup_steps"] = draw(st.integers(0, 60))
    else:
        values["warmup_share"] = draw(st.floats(0, 0.99))
    if kind == "wsd":
        values["decay_share"] = draw(st.floats(0.01, 1))
    if kind != "constant":
        values["final_share"] = draw(st.floats(0, 1))
    return Schedule.model_validate(values)


@given(schedule=schedules(), steps=st.integers(1, 80))
def test_up_to_the_peak_and_never_up_again(schedule: Schedule, steps: int) -> None:
    rates = [schedule.rate(step, steps) for step in range(steps)]
    warmup = schedule.warmup(steps)
    assert all(0 <= rate <= 1 for rate in rates)
    rising, falling = rates[:warmup], rates[warmup:]
    assert rising == sorted(rising)
    assert all(a >= b - 1e-12 for a, b in pairwise(falling))
    if falling:
        assert falling[0] == pytest.approx(1)
        final = 1 if schedule.kind == "constant" else schedule.final_share
        assert schedule.rate(steps, steps) == pytest.approx(final)
        assert falling[-1] >= final - 1e-12  # type: ignore[operator]


@pytest.mark.parametrize(("kind", "peer"), [
    ("linear", get_linear_schedule_with_warmup), ("rewarm", get_cosine_schedule_with_warmup),
])  # fmt: skip
@given(warmup=st.integers(0, 30), steps=st.integers(1, 40))
def test_as_transformers_has_it(kind: str, peer: Any, warmup: int, steps: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    (theirs,) = peer(optimizer, warmup, steps).lr_lambdas
    final = {"final_share": 0.0}
    ours = Schedule.model_validate({"kind": kind, "warmup_steps": warmup, **final})
    for step in range(steps):
        assert ours.rate(step, steps) == pytest.approx(theirs(step), abs=1e-12)


def test_the_papers() -> None:
    definemed = Schedule(warmup_steps=500)
    assert [definemed.rate(step, 2634) for step in (0, 250, 500)] == [0, 0.5, 1]
    assert definemed.rate(2633, 2634) == 1 / 2134
    parcomed = Schedule(kind="constant", warmup_steps=0)
    assert {parcomed.rate(step, 4320) for step in range(4320)} == {1.0}
    minicpm = Schedule(kind="wsd", warmup_share=0)
    assert minicpm.rate(899, 1000) == 1
    assert minicpm.rate(925, 1000) == pytest.approx(0.5)
    ibrahim = Schedule(kind="rewarm", warmup_share=0.01)
    assert ibrahim.rate(505, 1000) == pytest.approx(0.55)
    assert ibrahim.rate(1000, 1000) == pytest.approx(0.1)


def test_a_warm_up_longer_than_the_training_never_reaches_the_peak() -> None:
    assert [Schedule(warmup_steps=500).rate(step, 3) for step in range(3)] == [0, 0.002, 0.004]


@pytest.mark.parametrize(("values", "reason"), [
    ({"warmup_steps": 5, "warmup_share": 0.1}, "both set"),
    ({"kind": "linear", "decay_share": 0.1}, "belongs to kind wsd"),
    ({"kind": "constant", "final_share": 0.1}, "no meaning"),
    ({"warmup_share": 1}, "less than 1"),
    ({"warmup_share": math.nan}, "warmup_share"),
    ({"kind": "cosine"}, "kind"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Schedule.model_validate(values)


@given(schedule=schedules())
def test_a_written_schedule_is_read_as_the_same(schedule: Schedule) -> None:
    assert Schedule.model_validate(schedule.model_dump(mode="json")) == schedule
