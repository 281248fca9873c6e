"""The planner against simulations of its own promise; the whole is in bench/eval/validity.py."""

from __future__ import annotations

import numpy as np
import pytest

from bedside_eval.statistics.accuracy import accuracy_difference
from bedside_eval.statistics.estimate import standing
from bedside_eval.statistics.power import (
    GOAL,
    accuracy_power,
    detectable,
    needed,
    needed_items,
    power,
    tail_power,
)
from bedside_eval.statistics.rule import Rule, TailRule, envelopes, shortfall

RULE = Rule(0, 0.95, TailRule(delta=3, max_share=0.2))


def simulated(effect: float, clusters: int, rule: Rule) -> float:
    gains = np.random.default_rng(99).normal(effect, 1, size=(3000, clusters))
    low, _ = envelopes(gains, rule.confidence, number=2000, seed=5)
    return float(np.mean(shortfall(gains, low, rule) < 0))


@pytest.mark.parametrize(("effect", "clusters"), [(0.9, 16), (0.4, 40)])
def test_power_is_what_happens(effect: float, clusters: int) -> None:
    assert power(effect, 1, clusters, RULE) == pytest.approx(
        simulated(effect, clusters, RULE), abs=0.04
    )


@pytest.mark.parametrize(
    ("effect", "sd", "clusters"),
    [(0.1, 0.2, 40), (0.08, 0.21, 150), (0.3, 0.2, 14), (0.1, 0.1, 20)],
)
def test_the_tail_alone_bounds_the_power(effect: float, sd: float, clusters: int) -> None:
    """So that where it fails no simulation is needed."""
    strict = Rule(-10.0, 0.95, TailRule(0.1, 0.2))
    found = power(effect, sd, clusters, strict)
    assert found == pytest.approx(tail_power(effect, sd, clusters, strict), abs=0.03)
    assert power(effect, sd, clusters, strict._replace(margin=0.0)) <= found


def test_needed_is_within_a_tenth() -> None:
    clusters = needed(0.7, 1, RULE)
    assert clusters
    assert simulated(0.7, round(0.9 * clusters), RULE) < GOAL
    assert simulated(0.7, round(1.1 * clusters), RULE) > GOAL
    smallest = detectable(1, clusters, RULE)
    assert smallest == pytest.approx(0.7, rel=0.04)


def test_the_unit_does_not_matter() -> None:
    rule = Rule(-0.02, 0.95, TailRule(0.06, 0.2))
    assert power(0.01, 0.02, 20, rule) == pytest.approx(
        power(0.5, 1, 20, Rule(-1, 0.95, TailRule(3, 0.2))), abs=1e-3
    )


@pytest.mark.parametrize(
    ("effect", "rule"),
    [
        (0.0, Rule(0, 0.95)),
        (-0.1, Rule(0, 0.95)),
        (0.1, Rule(0, 0.95, TailRule(0.5, 0.2))),
        (0.001, Rule(0, 0.95)),
    ],
    ids=["no gain", "a loss", "too many lose", "more than anybody has"],
)
def test_some_effects_are_out_of_reach(effect: float, rule: Rule) -> None:
    assert needed(effect, 1, rule) is None


def test_a_guard_has_few_clusters_or_much_power() -> None:
    guard = Rule(-0.5, 0.95, TailRule(3, 0.03))
    assert power(0, 1, 40, guard) == 0
    assert detectable(1, 40, guard) is None


@pytest.mark.parametrize(("effect", "items", "margin"), [(0.15, 60, 0.0), (0.0, 120, -0.1)])
def test_accuracy_power_is_what_happens(effect: float, items: int, margin: float) -> None:
    random = np.random.default_rng(7)
    shares = [(0.2 + effect) / 2, (0.2 - effect) / 2, 0.4, 0.4 - effect / 2]
    shares[3] = 1 - sum(shares[:3])
    passed, rounds = 0, 150
    clusters = [str(n) for n in range(items)]
    for _ in range(rounds):
        answers = random.choice(4, items, p=shares)
        found = accuracy_difference(
            np.isin(answers, (0, 2)).tolist(), np.isin(answers, (1, 2)).tolist(), clusters,
            confidence=0.95, seed=1,
        ).estimate  # fmt: skip
        passed += standing(found, margin).relation == "above"
    planned = accuracy_power(effect, 0.2, items, margin=margin, confidence=0.95)
    assert planned == pytest.approx(passed / rounds, abs=0.11)


def test_needed_items_reach_the_goal() -> None:
    items = needed_items(0.1, 0.2, margin=0, confidence=0.95)
    assert items and 145 < items < 180
    assert accuracy_power(0.1, 0.2, round(0.9 * items), margin=0, confidence=0.95) < GOAL
    assert needed_items(0.0, 0.2, margin=0, confidence=0.95) is None
