"""What sealed parts can and cannot show of each condition: before the run, and what it lacked.

Simulated by the rule that judges, with the spread that the config assumes before the run, and with
the one that was seen afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bedside_core.kinds.measures import MEASURES
from bedside_core.kinds.plan import Detectable, PlannedSet
from bedside_core.kinds.policy import Guard, Policy, Target
from bedside_eval.config import EvalConfig
from bedside_eval.statistics.power import (
    accuracy_power,
    needed,
    needed_items,
    power,
)
from bedside_eval.statistics.power import detectable as smallest_gain
from bedside_eval.statistics.rule import Rule, TailRule


def detectable(
    policy: Policy, sets: Mapping[str, PlannedSet], config: EvalConfig
) -> tuple[Detectable, ...]:
    """For each condition in the policy's order, against the base.

    Args:
        policy: target and guards.
        sets: by `heldout/NAME` and `exam/NAME`, with the clusters of their sealed parts.
        config: has the assumed spread of the clusters and discordance of the items.
    """
    return tuple(_one(policy, condition, sets, config) for condition in policy.conditions)


def rule_of(policy: Policy, threshold: float, *, tail: bool = True) -> Rule:
    """The rule of a mean: every interval of the gain above this; of a likelihood few lose much."""
    lost = TailRule(policy.tail.delta, policy.tail.max_share) if tail else None
    return Rule(threshold, 1 - policy.alpha, lost)


def clusters_needed(
    policy: Policy, gains: NDArray[np.float64], threshold: float, *, tail: bool = True
) -> int | None:
    """How many clusters would show, in 8 of 10 cases, that the gain is above the threshold.

    If the true gain and spread are what was seen. None: none would, or the data hold nothing.
    """
    spread = float(np.std(gains, ddof=1)) if len(gains) > 1 else 0.0
    if spread == 0:
        return None
    return needed(float(np.mean(gains)), spread, rule_of(policy, threshold, tail=tail))


def items_needed(
    policy: Policy, gain: float, discordance: float, threshold: float, right: float
) -> int | None:
    """The same of an exam's items.

    Args:
        policy: for the confidence of one look.
        gain: difference of the accuracies that was seen.
        discordance: share of the items on which the models differ.
        threshold: the gain is to be shown above this.
        right: accuracy of the other model.
    """
    if discordance <= abs(gain):
        return None
    return needed_items(
        gain, discordance, margin=threshold, confidence=1 - policy.alpha, right=right
    )


def _one(
    policy: Policy,
    condition: Target | Guard,
    sets: Mapping[str, PlannedSet],
    config: EvalConfig,
) -> Detectable:
    gains = isinstance(condition, Target)
    margin = condition.min_gain if isinstance(condition, Target) else condition.max_loss
    threshold = margin if gains else -margin
    found = Detectable(
        measure=condition.measure, of=condition.of, clusters=0, margin=margin, spread=None,
        smallest=None, harmless=None,
    )  # fmt: skip
    measure = MEASURES.get(condition.measure)
    if measure is None:
        return found
    clusters = sets[f"{'exam' if measure.of else 'heldout'}/{condition.of}"].clusters
    if measure.form == "binary":
        spread = config.discordance
        smallest = _smallest_accuracy(policy, threshold, clusters, spread)
        harmless = None if gains else _accuracy(policy, 0.0, threshold, clusters, spread)
    else:
        spread = config.value_spread if measure.of else config.spread
        rule = rule_of(policy, threshold, tail=not measure.of)
        smallest = smallest_gain(spread, clusters, rule)
        harmless = None if gains else power(0.0, spread, clusters, rule)
    return found.model_copy(
        update={"clusters": clusters, "spread": spread, "smallest": smallest, "harmless": harmless}
    )


def _accuracy(
    policy: Policy, effect: float, threshold: float, items: int, discordance: float
) -> float:
    return accuracy_power(effect, discordance, items, margin=threshold, confidence=1 - policy.alpha)


def _smallest_accuracy(
    policy: Policy, threshold: float, items: int, discordance: float
) -> float | None:
    """To half a point; None where not even all that differ would do."""
    low, high = threshold, discordance
    if _accuracy(policy, high, threshold, items, discordance) < 0.8:
        return None
    while high - low > 0.005:
        middle = (low + high) / 2
        shown = _accuracy(policy, middle, threshold, items, discordance) >= 0.8
        low, high = (low, middle) if shown else (middle, high)
    return high
