"""What a plan says of its sets, and what a verdict says it lacked, agree with the rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside_eval.config import EvalConfig
from bedside_eval.detectable import clusters_needed, detectable, items_needed

CONFIG = EvalConfig(policy=Path("p"), heldout={"medical": Path("h"), "general": Path("g")})


def test_each_condition_is_planned_in_the_policys_order(make_policy: Any, make_plan: Any) -> None:
    guards = [
        {"of": "general", "max_loss": 0.05},
        {"measure": "accuracy", "of": "exam", "max_loss": 0.05},
        {"measure": "readability", "of": "letters", "max_loss": 0.05},
    ]
    policy = make_policy(guards=guards)
    sets = make_plan(policy).sets
    sets["exam/exam"] = sets["heldout/general"].model_copy(update={"kind": "exam"})

    target, general, exam, unknown = detectable(policy, sets, CONFIG)

    assert (target.measure, target.of, target.clusters) == ("likelihood", "medical", 30)
    assert target.smallest is not None
    assert 0.005 < target.smallest < 0.02
    assert target.harmless is None
    assert general.harmless is not None
    assert general.harmless > 0.9
    assert exam.harmless is not None
    assert exam.harmless < 0.3  # 30 items cannot bound a loss of 5 points
    assert unknown.spread is None


def test_more_is_needed_the_less_was_gained(make_policy: Any) -> None:
    policy = make_policy()
    drawn = np.random.default_rng(1).normal(size=16)
    gains = (drawn - drawn.mean()) / drawn.std(ddof=1) * 0.05

    much, little = (clusters_needed(policy, gains + mean, 0.0) for mean in (0.04, 0.01))

    assert much is not None
    assert little is not None
    assert 8 <= much < little
    assert little == pytest.approx((2.8 * 0.05 / 0.01) ** 2, rel=0.3)
    assert clusters_needed(policy, gains, 0.01) is None  # what was seen is below it
    assert clusters_needed(policy, np.full(16, 0.3), 0.0) is None


def test_items_of_an_exam(make_policy: Any) -> None:
    needed = items_needed(make_policy(), 0.0, 0.2, -0.05, 0.5)

    assert needed is not None
    assert needed == pytest.approx((2.8**2) * 0.2 / 0.05**2, rel=0.25)
    assert items_needed(make_policy(), 0.0, 0.0, -0.05, 0.5) is None
