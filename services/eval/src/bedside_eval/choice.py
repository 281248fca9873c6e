"""Choosing among candidates, on the development parts alone.

The best of 20 useless candidates looks good on the texts that it was chosen by (a false promotion
in 20 to 35 of 100 cases); on sealed texts it does not.
"""

from __future__ import annotations

from collections.abc import Mapping

from bedside_core.console import say, table
from bedside_core.errors import InputError
from bedside_core.kinds.measures import LIKELIHOOD, MEASURES
from bedside_core.kinds.policy import Policy
from bedside_eval.exam import Paper
from bedside_eval.measured import Grouping, Measured, numbered
from bedside_eval.records import ModelScores


def asked(policy: Policy, development: Paper) -> Paper:
    """Of the development parts, the set that the policy's target names.

    Raises:
        InputError: the target's measure is not taken by this version.
    """
    target = policy.target
    measure = MEASURES.get(target.measure)
    if measure is not None and measure.taken == "likelihood":
        of = target.of
        if measure.of:
            return Paper({}, {of: development.exams[of]})
        return Paper({of: development.heldout[of]}, {})
    raise InputError(
        f"the policy's target is {target.measure}, which this version does not take, so nothing "
        "can be chosen by it - name one candidate in eval.shortlist"
    )


def best(policy: Policy, paper: Paper, scores: Mapping[str, ModelScores]) -> str:
    """The name of the best candidate by the target's measure, the first of several; says so."""
    values = {name: _value(policy, paper, found) for name, found in scores.items()}
    chosen = max(values, key=lambda name: values[name])
    unit = "bits per byte" if policy.target.measure == LIKELIHOOD else policy.target.measure
    rows = [["candidate", f"{policy.target.of}, development: {unit}", ""]]
    rows += [[n, f"{abs(v):.4f}", "chosen" if n == chosen else ""] for n, v in values.items()]
    say(table(rows))
    return chosen


def _value(policy: Policy, paper: Paper, scores: ModelScores) -> float:
    """More is better."""
    groups = {
        name: Grouping(numbered([member.cluster for member in members]), frozenset(), "")
        for sets in (paper.heldout, paper.exams)
        for name, members in sets.items()
    }
    measured = Measured({"candidate": scores}, groups, groups, confidence=0.95)
    target = policy.target
    value = measured.own(target.measure, target.of).estimate.estimate
    return -value if MEASURES[target.measure].less_is_better else value
