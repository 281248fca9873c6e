"""What must hold before a plan or a look becomes an entry of the log; pure over the log.

A promotion asks the same of the entries before the plan and before the look that it rests on: who
holds the key to write an entry is not thereby somebody whose entry counts.

Tested in tests/core/registry/test_ledger.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from bedside_core.errors import PolicyError
from bedside_core.kinds.measures import LIKELIHOOD, of_items
from bedside_core.kinds.plan import Look, Plan, PlannedSet
from bedside_core.kinds.policy import MIN_CLUSTERS, Policy
from bedside_core.registry.ledger import Ledger, Looked, Planned, development, sealed

ROUNDING = 1e-12
"""Several shares of the error need not add up to the whole to the last bit."""


def check_plan(ledger: Ledger, plan: Plan) -> None:
    """What a plan is refused for, whoever signs it.

    Raises:
        PolicyError: its policy is not approved or not for these sets, a set is missing or too
            small, or its sealed texts were used up or developed on.
    """
    policy = plan.policy
    check_approved(ledger, plan)
    if (plan.alpha, plan.looks) != (policy.alpha, min(plan.looks, policy.looks)):
        raise PolicyError(
            f"the plan asks for {plan.looks} look(s) at an error of {plan.alpha:g} each, policy "
            f"{policy.name!r} allows {policy.looks} at {policy.alpha:g} - plan again"
        )
    problems = [*_wrong_sets(plan), *_missing(plan), *_small(plan)]
    if problems:
        raise PolicyError(f"policy {policy.name!r}: {'; '.join(problems)}")
    check_sealed(ledger, plan, plan.looks)


def check_approved(ledger: Ledger, plan: Plan) -> None:
    """Raises: PolicyError, an operator has not approved exactly this policy, or took it back."""
    policy = plan.policy
    approval = ledger.approvals.get(plan.policy_sha256)
    if approval is None or approval.policy != policy:
        raise PolicyError(
            f"policy {policy.name!r} ({plan.policy_sha256[:12]}) is not approved here, or no more "
            "- read it, then `bedside registry approve-policy FILE --reason WHY`"
        )


def check_sealed(ledger: Ledger, plan: Plan, looks: int) -> None:
    """Whether so many more looks may be taken at each sealed text.

    Raises:
        PolicyError: names the sets whose sealed texts were used up, or developed on.
    """
    developed = ledger.development() | development(plan)
    at = ledger.looks_at()
    # Whatever policy it was spent under: the texts know as little of that as chance does.
    left = 1 - plan.policy.confidence + ROUNDING - looks * plan.alpha
    worn = {identity for identity in sealed(plan) if ledger.spent(at.get(identity, ())) > left}
    problems = []
    for name, planned in _judged(plan):
        known = developed & set(planned.sealed)
        if known:
            problems.append(f"{name}: {len(known)} sealed texts were in a development part")
        used = worn & set(planned.sealed)
        if used:
            past = {x.hash: x for identity in used for x in at.get(identity, ())}
            problems.append(f"{name}: {_used(ledger, past.values(), len(used))}")
    if problems:
        raise PolicyError(
            f"{'; '.join(problems)} - new sealed texts are needed: a look that is repeated until "
            "it pleases shows nothing"
        )


def _judged(plan: Plan) -> list[tuple[str, PlannedSet]]:
    """The sets that a verdict rests on; others are shown and may be used up."""
    names = {f"heldout/{name}" for name in plan.policy.sets([LIKELIHOOD])}
    names |= {f"exam/{name}" for name in plan.policy.sets(of_items())}
    return [(name, planned) for name, planned in plan.sets.items() if name in names]


def _used(ledger: Ledger, past: Iterable[Looked], texts: int) -> str:
    looks = sorted(past, key=lambda looked: looked.seq)
    runs = sorted({ledger.plans[looked.look.plan].plan.run for looked in looks})
    since = f"since {looks[0].time:%Y-%m-%d %H:%M} UTC " if looks else ""
    return (
        f"{texts} sealed texts have no error left to spend, looked at {since}{len(looks)} time(s)"
        f" by run {', '.join(runs)}"
    )


def check_standing(ledger: Ledger, look: Look) -> Planned:
    """The plan by which a look may begin, or go on.

    Raises:
        PolicyError: it is not the one that holds now, its policy's approval came later or was
            taken back, or the look is at something else than was planned.
    """
    planned = ledger.plans.get(look.plan)
    if planned is None or ledger.newest(planned.plan.run) != planned:
        raise PolicyError(
            f"plan {look.plan[:12]} is not the newest of its run - `bedside eval run` again, it "
            "takes the newest"
        )
    check_approved(ledger, planned.plan)
    if ledger.approval(planned) is None:
        raise PolicyError(
            f"policy {planned.plan.policy.name!r} was approved after plan {look.plan[:12]} - "
            "`bedside eval plan` again"
        )
    if look.base != planned.plan.base:
        raise PolicyError(
            f"the candidate names base {look.base[:12]}, planned was a comparison with "
            f"{planned.plan.base[:12]} - adapt that one, or `bedside eval plan` again"
        )
    if look.reference != planned.plan.reference:
        raise PolicyError(
            f"plan {look.plan[:12]} has another reference model - `bedside eval plan` again"
        )
    return planned


def check_look(ledger: Ledger, look: Look) -> None:
    """Whether a new look may be taken.

    Raises:
        PolicyError: see `check_standing`; or the plan's looks are used up, or its sealed texts.
    """
    planned = check_standing(ledger, look)
    number = len(ledger.looks_of(planned.hash)) + 1
    if look.number != number or number > planned.plan.looks:
        raise PolicyError(
            f"plan {planned.hash[:12]} has {planned.plan.looks} look(s), {number - 1} of them "
            "taken - new sealed texts and a new plan are needed"
        )
    check_sealed(ledger, planned.plan, 1)


def _wrong_sets(plan: Plan) -> list[str]:
    only = plan.policy.only_for
    if only is None:
        return []
    wrong = [name for name, planned in _judged(plan) if only.get(name) != planned.sha256]
    return [f"it is for other texts than {', '.join(wrong)}"] if wrong else []


def _needed(policy: Policy) -> dict[str, int]:
    """By set that a measure of ours is asked on, the clusters that its sealed part needs."""
    texts = {f"heldout/{name}": policy.min_clusters for name in policy.sets([LIKELIHOOD])}
    return texts | {f"exam/{name}": MIN_CLUSTERS for name in policy.sets(of_items())}


def _missing(plan: Plan) -> list[str]:
    return [f"there is no {name}" for name in _needed(plan.policy) if name not in plan.sets]


def _small(plan: Plan) -> list[str]:
    needed = _needed(plan.policy)
    return [
        f"{name} has {planned.clusters} sealed clusters, {needed[name]} are needed"
        for name, planned in plan.sets.items()
        if planned.clusters < needed.get(name, 0)
    ]
