"""Gains by language, domain and specialty of an exam's items, as a mean hides who is worse off.

No verdict rests on them: a policy that means a group names an exam of its own. All of one evidence
are one family (Holm), and a group that is too small, or in which nothing differs, has no p-value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import Literal, NamedTuple, get_args

from bedside_core.kinds.exam import ExamItem
from bedside_core.kinds.measures import MEASURES
from bedside_core.kinds.policy import Policy
from bedside_eval.measured import Grouping, Measured
from bedside_eval.records import AGAINST, ModelScores, Role, Subgroup
from bedside_eval.statistics.families import holm

By = Literal["language", "domain", "specialty"]
HEADLINE = ("accuracy", "exact_match", "instructions_followed", "facts_found", "rouge_l")
"""What an exam is mostly about, where the policy asks nothing of it: the first that was taken."""


class _Place(NamedTuple):
    exam: str
    measure: str
    against: Role
    by: By
    name: str


def subgroups(
    measured: Measured, items: Mapping[str, Sequence[ExamItem]], policy: Policy
) -> tuple[Subgroup, ...]:
    """The candidate's gain in each group, the worst first.

    Args:
        measured: of all models.
        items: by exam, in the order of the scores.
        policy: says which measures count, as far as it does.
    """
    places = list(_places(measured, items, policy))
    found = {
        place: part.gain(place.measure, place.exam, place.against)
        for place, chosen in places
        for part in (_part(measured, place.exam, chosen, family=len(places)),)
    }
    p_worse = {
        place: gain.p_below(0.0) for place, gain in found.items() if gain.estimate.informative
    }
    adjusted = holm(p_worse)
    groups = [
        Subgroup(
            **place._asdict(), items=sum(compress(chosen, measured.exams[place.exam].kept)),
            gain=found[place].estimate, p_worse=adjusted.get(place),
        )
        for place, chosen in places
    ]  # fmt: skip
    return tuple(sorted(groups, key=lambda group: group.gain.estimate))


def _places(
    measured: Measured, items: Mapping[str, Sequence[ExamItem]], policy: Policy
) -> Iterator[tuple[_Place, list[bool]]]:
    """Each group with the items that are of it."""
    rivals = [role for role in AGAINST if role in measured.results]
    for exam, asked in items.items():
        for by in get_args(By):
            of = [str(getattr(item, by)) for item in asked]
            if len(set(of)) < 2:
                continue
            for name in sorted(set(compress(of, measured.exams[exam].kept)) - {""}):
                for measure in _measures(measured, exam, policy):
                    for against in rivals:
                        place = _Place(exam, measure, against, by, name)
                        yield place, [value == name for value in of]


def _measures(measured: Measured, exam: str, policy: Policy) -> list[str]:
    """Those of judges compare two whole exams and are left out."""
    asked = [condition.measure for condition in policy.conditions if condition.of == exam]
    taken = set(measured.taken(exam))
    named = [name for name in dict.fromkeys(asked) if name in taken and MEASURES[name].of]
    return named or [name for name in HEADLINE if name in taken][:1]


def _part(measured: Measured, exam: str, chosen: Sequence[bool], *, family: int) -> Measured:
    """The same models on some items of one exam; p-values are as fine as the family needs."""
    groups = measured.exams[exam]
    part = Grouping(tuple(compress(groups.clusters, chosen)), groups.excluded, groups.sha256)
    results = {
        role: ModelScores(
            heldout={},
            exams={
                name: tuple(compress(scored, chosen))
                for name, scored in scores.exams.items()
                if name == exam
            },
            values={
                name: {measure: tuple(compress(each, chosen)) for measure, each in values.items()}
                for name, values in scores.values.items()
                if name == exam
            },
        )
        for role, scores in measured.results.items()
    }
    return Measured(results, {}, {exam: part}, confidence=measured.confidence, family=family)
