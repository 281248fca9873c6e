"""Choosing among candidates, on the development parts alone, by a rule that the plan has.

The best of 20 useless candidates looks good on the texts that it was chosen by (a false promotion
in 20 to 35 of 100 cases); on sealed texts it does not.
"""

from __future__ import annotations

from collections.abc import Mapping

from bedside_core.console import say, table
from bedside_core.errors import InputError
from bedside_core.kinds.measures import LIKELIHOOD, MEASURES
from bedside_core.kinds.policy import Policy
from bedside_eval.config import Selection
from bedside_eval.exam import Paper
from bedside_eval.groups import Groups
from bedside_eval.measured import Grouping, Measured, numbered
from bedside_eval.ranking import rankable, ranked
from bedside_eval.records import ModelScores


def asked(
    policy: Policy,
    development: Paper,
    rule: Selection = "best_target",
    groups: Groups | None = None,
) -> Paper:
    """Of the development parts, the sets that the rule looks at.

    Raises:
        InputError: nothing that the rule looks at is measured by this version.
    """
    if rule == "last":
        return Paper({}, {})
    if rule == "average_rank":
        return rankable(groups or {}, development)
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


def best(
    policy: Policy, paper: Paper, scores: Mapping[str, ModelScores],
    rule: Selection = "best_target", groups: Groups | None = None,
) -> str:  # fmt: skip
    """The name of the candidate that the rule chooses, the first of equal ones; says so.

    Args:
        policy: its target decides `best_target`.
        paper: what was asked.
        scores: by candidate, in the order of the list.
        rule: which one is chosen.
        groups: whose sets decide `average_rank`.
    """
    if rule == "last":
        chosen = list(scores)[-1]
        say(f"{chosen}: chosen as the last of {len(scores)}")
        return chosen
    if rule == "average_rank":
        ranks = ranked(groups or {}, paper, scores, confidence=0.95)[0].ranks
        values = {rank.label: -rank.rank for rank in ranks}
        head, digits = "all sets, development: average rank", 2
    else:
        values = {name: value(policy, paper, found) for name, found in scores.items()}
        unit = "bits per byte" if policy.target.measure == LIKELIHOOD else policy.target.measure
        head, digits = f"{policy.target.of}, development: {unit}", 4
    chosen = max(values, key=lambda name: values[name])
    rows = [["candidate", head, ""]]
    rows += [[n, f"{abs(v):.{digits}f}", "chosen" if n == chosen else ""]
             for n, v in values.items()]  # fmt: skip
    say(table(rows))
    return chosen


def value(policy: Policy, paper: Paper, scores: ModelScores) -> float:
    """Of the policy's target; more is better."""
    measured = on_development(paper, scores)
    target = policy.target
    found = measured.own(target.measure, target.of).estimate.estimate
    return -found if MEASURES[target.measure].less_is_better else found


def on_development(paper: Paper, scores: ModelScores) -> Measured:
    """What one model did on a development part, of which no corpus is searched."""
    groups = {
        name: Grouping(numbered([member.cluster for member in members]), frozenset(), "")
        for sets in (paper.heldout, paper.exams)
        for name, members in sets.items()
    }
    return Measured({"candidate": scores}, groups, groups, confidence=0.95)
