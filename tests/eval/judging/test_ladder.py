"""The ladder is Bradley and Terry's, finite for who never loses, and honest about few clusters."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bedside_eval.judging.ladder import ladder
from bedside_eval.records import Role

Pair = tuple[Role, Role]


def test_two_models_have_the_log_of_their_odds() -> None:
    scores: dict[Pair, np.ndarray] = {("candidate", "base"): np.array([1.0] * 75 + [0.0] * 25)}
    (best, strength), (worst, weakness) = ladder(scores, seed=1)
    assert (best, worst) == ("candidate", "base")
    assert strength.estimate == pytest.approx(math.log(75.5 / 25.5) / 2, abs=1e-4)
    assert strength.estimate == pytest.approx(-weakness.estimate)
    interval = strength.methods["bootstrap"]
    assert interval.low > 0 and interval.low < strength.estimate < interval.high


def test_three_models_are_in_order_and_centred() -> None:
    random = np.random.default_rng(3)
    scores: dict[Pair, np.ndarray] = {
        ("candidate", "base"): random.binomial(1, 0.8, 60).astype(float),
        ("candidate", "checkpoint"): random.binomial(1, 0.65, 60).astype(float),
        ("base", "checkpoint"): random.binomial(1, 0.35, 60).astype(float),
    }
    found = ladder(scores, seed=1)
    assert [role for role, _ in found] == ["candidate", "checkpoint", "base"]
    assert sum(strength.estimate for _, strength in found) == pytest.approx(0, abs=1e-9)


def test_who_never_loses_stays_finite_and_all_alike_hold_no_information() -> None:
    (_, strength), _ = ladder({("candidate", "base"): np.ones(40)}, seed=1)
    assert math.isfinite(strength.estimate) and not strength.informative
    few = ladder({("candidate", "base"): np.array([1.0, 0.0, 1.0])}, seed=1)
    assert not any(strength.informative for _, strength in few)
