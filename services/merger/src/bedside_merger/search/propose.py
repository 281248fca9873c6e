"""Which merge is tried next: a pure function of what was tried, so that a killed search goes on.

First DeFineMed's schedule, whose drift is the bound unless one is set; then uniform fractions and
the sparse methods; then the largest uniform fraction within the bound, by bisection; then mutations
of the best within the bound: a (1+1) evolution strategy, its step by the rule of one fifth
(Rechenberg 1973).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from bedside_core.config import Config
from bedside_merger.config import Bound
from bedside_merger.merge import Merge
from bedside_merger.search.families import DEFINEMED, FAMILIES, FamilyName, Point

FIRST: tuple[tuple[FamilyName, Point], ...] = (
    ("schedule", DEFINEMED),
    ("uniform", (0.5,)),
    ("uniform", (1.0,)),
    ("ties", (1.0, 0.2)),
    ("dare_linear", (0.5, 0.5)),
)
BISECTIONS = 5
"""Halvings of the range of uniform fractions."""
STEP = 0.15
"""Standard deviation of the first mutation, in shares of a number's range."""
FASTER, SLOWER = 1.5, 1.5**-0.25
"""Of the step after a success and a failure: in balance when one in five succeeds."""


class Trial(Config):
    """A merge that was measured on the texts that choose."""

    number: int
    family: FamilyName
    point: Point
    gain: float
    """In the target, above the base, mean over texts or items: nats per token, or right answers."""
    drift: float
    """Mean absolute change of a token's log-likelihood against the base, in the general set where
    it is largest."""
    change: dict[str, float]
    """Nats per token more than the base, by general set: above zero is forgetting."""

    @property
    def merge(self) -> Merge:
        return FAMILIES[self.family].make(self.point)

    def amount(self, bound: Bound) -> float:
        """What is bounded, in nats per token."""
        return self.drift if bound == "drift" else max(self.change.values())


class Rule(NamedTuple):
    """What a merge must keep to."""

    bound: Bound = "drift"
    limit: float | None = None
    """None: what DeFineMed's schedule, the first trial, has."""

    def limit_of(self, trials: Sequence[Trial]) -> float:
        """Nats per token."""
        return trials[0].amount(self.bound) if self.limit is None else self.limit

    def keeps(self, trial: Trial, trials: Sequence[Trial]) -> bool:
        """Whether a trial is within the bound."""
        return trial.amount(self.bound) <= self.limit_of(trials)


class Proposal(NamedTuple):
    """What is tried next."""

    family: FamilyName
    point: Point


def best_of(trials: Sequence[Trial], rule: Rule) -> Trial | None:
    """The largest gain within the bound; the first of equals."""
    within = [trial for trial in trials if rule.keeps(trial, trials)]
    return max(within, key=lambda trial: trial.gain, default=None)


def propose(trials: Sequence[Trial], rule: Rule, seed: int) -> Proposal:
    """The next merge to try.

    Args:
        trials: all before, in order.
        rule: what a merge must keep to.
        seed: of the mutations.
    """
    number = len(trials)
    if number < len(FIRST):
        return Proposal(*FIRST[number])
    uniform = [trial for trial in trials if trial.family == "uniform"]
    beyond = [trial.point[0] for trial in uniform if not rule.keeps(trial, trials)]
    if beyond and number < len(FIRST) + BISECTIONS:
        within = max((t.point[0] for t in uniform if rule.keeps(t, trials)), default=0.0)
        return Proposal("uniform", ((within + min(beyond)) / 2,))
    return _mutation(trials, rule, seed)


def _mutation(trials: Sequence[Trial], rule: Rule, seed: int) -> Proposal:
    step = STEP
    for number in range(len(FIRST), len(trials)):
        if trials[number].family != "uniform":
            before, after = (best_of(trials[:count], rule) for count in (number, number + 1))
            step *= FASTER if after is not before else SLOWER
    parent = best_of(trials, rule) or trials[0]
    # A uniform fraction is the schedule in which all numbers are the same.
    family: FamilyName = "schedule" if parent.family == "uniform" else parent.family
    point = parent.point * len(DEFINEMED) if parent.family == "uniform" else parent.point
    low, high, _ = FAMILIES[family]
    draw = random.Random(f"{seed}:{len(trials)}")  # noqa: S311 - no secret
    moved = (
        min(top, max(bottom, value + draw.gauss(0, step) * (top - bottom)))
        for value, bottom, top in zip(point, low, high, strict=True)
    )
    return Proposal(family, tuple(round(value, 3) for value in moved))
