"""Every paired difference of the candidate as a gain: positive is better, whatever the measure.

Tested in tests/eval/reporting/test_files.py.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from bedside_core.kinds.measures import LIKELIHOOD
from bedside_core.kinds.policy import Policy, Target
from bedside_eval.evidence import Evidence
from bedside_eval.records import AGAINST, METRIC_OF, Role
from bedside_eval.statistics.estimate import Estimate, turned

_MEASURE_OF = {metric: measure for measure, metric in METRIC_OF.items()}


class Gain(NamedTuple):
    """The candidate against another model, on one set by one measure."""

    kind: Literal["heldout", "exam"]
    of: str
    measure: str
    against: Role
    estimate: Estimate
    """In bits per byte or as a share; positive where the candidate is better."""
    margin: float | None
    """All of its interval must lie above it, by the policy; None where it asks for nothing."""


def gains_of(evidence: Evidence) -> list[Gain]:
    """What was measured of the candidate against each other model, in the evidence's order."""
    found = []
    for pair in evidence.differences:
        if pair.candidate != "candidate":
            continue
        rows: list[tuple[Literal["heldout", "exam"], str, str, Estimate]] = [
            ("heldout", name, LIKELIHOOD, turned(change)) for name, change in pair.heldout.items()
        ]
        rows += [
            ("exam", name, _MEASURE_OF[metric], change.difference)
            for name, changes in pair.exams.items()
            for metric, change in changes.items()
        ]
        rows += [
            ("exam", name, measure, gain)
            for name, measures in pair.gains.items()
            for measure, gain in measures.items()
        ]
        found += [
            Gain(kind, name, measure, pair.reference, estimate,
                 margin(evidence.policy, measure, name, pair.reference))
            for kind, name, measure, estimate in rows
        ]  # fmt: skip
    return found


def margin(policy: Policy, measure: str, of: str, against: Role) -> float | None:
    """What the gain must exceed: the target's gain over the base, else the loss that is allowed."""
    if against not in AGAINST:
        return None
    for condition in policy.conditions:
        if (condition.measure, condition.of) == (measure, of):
            if isinstance(condition, Target) and against == "base":
                return condition.min_gain
            return -condition.max_loss
    return None
