"""What a set can show, and how many clusters or items would show it: by simulation of the rule.

Gains are normal around the assumed effect, with the assumed spread between clusters: `eval plan`
takes it from the development part. Long tails need more than is said here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bedside_eval.statistics.estimate import MIN_CLUSTERS
from bedside_eval.statistics.means import Means
from bedside_eval.statistics.resampling import expanded
from bedside_eval.statistics.rule import Rule, envelopes, shortfall
from bedside_eval.statistics.scores import Table, newcombe, tango_score
from bedside_eval.statistics.tail import allowed

Array = NDArray[np.float64]

GOAL = 0.8
"""Power that is called enough."""
MOST = 10_000
"""Clusters or items beyond which none are asked for."""
SLACK = 0.05
"""Eight standard errors of a simulated power."""
_SEED = 20_261_130


def power(effect: float, sd: float, clusters: int, rule: Rule) -> float:
    """The probability that a candidate with this mean gain passes `rule`.

    Args:
        effect: true mean gain.
        sd: standard deviation of the gains of clusters.
        clusters: in the sealed part.
        rule: with a negative margin for a guard.
    """
    return float(np.mean(_required(sd, clusters, rule) < effect))


def detectable(sd: float, clusters: int, rule: Rule) -> float | None:
    """The smallest true mean gain that passes with a probability of `GOAL`; None: none does.

    For a guard it is negative where a loss may still pass.
    """
    required = float(np.quantile(_required(sd, clusters, rule), GOAL, method="higher"))
    return required if math.isfinite(required) else None


def needed(effect: float, sd: float, rule: Rule) -> int | None:
    """The smallest number of clusters with a power of `GOAL`; None: more than `MOST`."""
    distance = effect - rule.margin
    if distance <= 0 or (rule.tail and _lost(effect, sd, rule.tail.delta) >= rule.tail.max_share):
        return None
    start = math.ceil((_reach(rule.confidence) * sd / distance) ** 2)
    return _smallest(
        lambda clusters: power(effect, sd, clusters, rule),
        start,
        # Where the tail alone fails, and by more than chance in the simulation, none is made.
        possible=lambda clusters: tail_power(effect, sd, clusters, rule) >= GOAL - SLACK,
    )


def tail_power(effect: float, sd: float, clusters: int, rule: Rule) -> float:
    """The probability that few enough clusters lose much, which `power` cannot exceed; exact."""
    if rule.tail is None:
        return 1.0
    lost = allowed(clusters, rule.tail.max_share, rule.confidence)
    if lost is None:
        return 0.0
    return float(stats.binom.cdf(lost, clusters, _lost(effect, sd, rule.tail.delta)))


def accuracy_power(
    effect: float, discordance: float, items: int, *, margin: float, confidence: float,
    right: float = 0.5,
) -> float:  # fmt: skip
    """The probability that a candidate's accuracy is shown to be `margin` better, or not worse.

    Args:
        effect: true difference of the accuracies.
        discordance: share of the items on which the two models differ.
        items: independent ones, each a cluster of its own.
        margin: every interval has to lie above it; negative for a guard.
        confidence: of the intervals, two-sided.
        right: accuracy of the reference.
    """
    random = np.random.default_rng(_SEED)
    gaining, losing = (discordance + effect) / 2, (discordance - effect) / 2
    shares = np.maximum([right - losing, gaining, losing, 1 - right - gaining], 0)
    counts = random.multinomial(items, shares / shares.sum(), size=2 * _pairs(items))
    tail = (1 - confidence) / 2
    z = float(stats.norm.isf(tail))
    passed = []
    # As in `rule`, in blocks; items sorted by what they show, since their order is free.
    for block in np.array_split(counts, math.ceil(counts.size * _number(tail, items) / 16e6)):
        table = Table(*block.T.astype(float))
        place = np.arange(items)
        values = (place >= items - block[:, 1:2]).astype(float) - (place < block[:, 2:3])
        means = Means(values, number=_number(tail, items), seed=_SEED, skewed=False)
        lows = np.min([low for low, _ in means.bounds(tail).values()], axis=0)
        score = tango_score(table, margin)
        passed.append((lows > margin) & (score > z) & (newcombe(table, z)[0] > margin))
    return float(np.mean(np.concatenate(passed)))


def needed_items(
    effect: float, discordance: float, *, margin: float, confidence: float, right: float = 0.5
) -> int | None:
    """The smallest number of items with a power of `GOAL`; None: more than `MOST`."""
    distance = effect - margin
    if distance <= 0:
        return None
    spread = discordance - effect**2
    start = math.ceil(_reach(confidence) ** 2 * spread / distance**2)
    return _smallest(
        lambda items: accuracy_power(
            effect, discordance, items, margin=margin, confidence=confidence, right=right
        ),
        start,
    )


def _required(sd: float, clusters: int, rule: Rule) -> Array:
    """The mean gain at which each simulated data set would just pass."""
    if clusters < MIN_CLUSTERS:
        return np.array([math.inf])
    # Drawn cluster by cluster, so that more clusters are the same ones and some more; and each data
    # set mirrored, because what one lacks by chance its mirror image has too much.
    drawn = np.random.default_rng(_SEED).normal(0, sd, size=(clusters, _pairs(clusters)))
    number = _number((1 - rule.confidence) / 2, clusters)
    gains = np.concatenate([drawn.T, -drawn.T])
    return shortfall(gains, envelopes(gains, rule.confidence, number=number, seed=_SEED).low, rule)


def _pairs(size: int) -> int:
    """The standard error of a power of 0.8 is 0.6 points, 1 with the most clusters."""
    return min(2000, max(500, 2_000_000 // size))


def _number(tail: float, size: int) -> int:
    """Fewer resamples than a verdict has: their chance averages out over the data sets."""
    return min(20_000, max(2000, math.ceil(5 / max(expanded(tail, size), 1e-6))))


def _reach(confidence: float) -> float:
    return float(stats.norm.isf((1 - confidence) / 2) + stats.norm.ppf(GOAL))


def _lost(effect: float, sd: float, delta: float) -> float:
    return float(stats.norm.cdf((-delta - effect) / sd))


def _smallest(
    power_at: Callable[[int], float],
    start: int,
    possible: Callable[[int], bool] = lambda _: True,
) -> int | None:
    """By bisection, to 4 % (the answer is on the side of enough)."""
    if start > MOST:
        return None
    few, many = MIN_CLUSTERS - 1, max(MIN_CLUSTERS, start)
    while not possible(many) or power_at(many) < GOAL:
        if many >= MOST:
            return None
        few, many = many, min(MOST, math.ceil(1.15 * many))
    while many - few > max(1, many // 25):
        middle = max((few + many) // 2, math.floor(0.85 * many))
        few, many = (few, middle) if power_at(middle) >= GOAL else (middle, many)
    return many
