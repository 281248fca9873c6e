"""Many data sets at once are judged as one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bedside_eval.statistics.difference import difference
from bedside_eval.statistics.estimate import standing
from bedside_eval.statistics.resampling import resolved
from bedside_eval.statistics.rule import Rule, TailRule, envelopes, shortfall
from bedside_eval.statistics.tail import tail


def test_as_one_by_one() -> None:
    gains = np.random.default_rng(3).normal(0.5, 1, size=(30, 16))
    rule = Rule(0.05, 0.95, TailRule(1.5, 0.2))
    _, number = resolved(0.95, 1, 16)
    low, high = envelopes(np.sort(gains, axis=1), 0.95, number=number, seed=9)
    lacks = shortfall(gains, low, rule)
    passed = 0
    for row, values in enumerate(gains):
        found = difference(values, confidence=0.95, seed=9).estimate
        assert found.envelope
        assert (low[row], high[row]) == pytest.approx((found.envelope.low, found.envelope.high))
        lost = tail(values, delta=1.5, confidence=0.95)
        expected = standing(found, 0.05).relation == "above" and lost.bound <= 0.2
        assert (lacks[row] < 0) == expected
        passed += expected
    assert 0 < passed < 30


def test_what_is_lacking_is_what_helps() -> None:
    gains = np.random.default_rng(4).normal(size=(20, 16))
    rule = Rule(0, 0.95, TailRule(0.5, 0.2))

    def lacking(values: np.ndarray) -> np.ndarray:
        low, _ = envelopes(values, 0.95, number=2000, seed=1)
        return shortfall(values, low, rule)

    before = lacking(gains)
    assert np.all(lacking(gains + before[:, None] + 1e-6) < 0)
    assert np.all(lacking(gains + before[:, None] - 1e-6) > 0)


def test_many_rows_in_blocks() -> None:
    gains = np.random.default_rng(5).normal(size=(3000, 8))
    low, _ = envelopes(gains, 0.95, number=2000, seed=1)
    assert np.isfinite(low).all()


@pytest.mark.parametrize(
    "gains", [np.ones((1, 20)), np.arange(7.0)[None, :]], ids=["copies of one text", "7 clusters"]
)
def test_without_information_nothing_passes(gains: np.ndarray) -> None:
    low, high = envelopes(gains, 0.95, number=2000, seed=1)
    assert (low[0], high[0]) == (-math.inf, math.inf)
    assert shortfall(gains, low, Rule(-9, 0.95))[0] == math.inf


def test_too_few_clusters_for_the_guard_never_pass() -> None:
    gains = np.random.default_rng(5).normal(5, 1, size=(3, 16))
    low, _ = envelopes(gains, 0.95, number=2000, seed=1)
    assert np.all(shortfall(gains, low, Rule(0, 0.95, TailRule(9, 0.03))) == math.inf)
    assert np.all(shortfall(gains, low, Rule(0, 0.95, TailRule(9, 0.2))) < 0)
