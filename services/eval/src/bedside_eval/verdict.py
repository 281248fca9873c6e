"""The verdict that a policy gives on what was measured, condition by condition.

PROMOTE needs every condition, so no correction for several tests is due there (intersection-union
test, Berger 1982). Harm in one of several guards is claimed by Holm's procedure within a family.
A condition holds only if it holds by every method; where the methods differ, nothing is decided.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from bedside_core.kinds.evidence import Verdict
from bedside_core.kinds.measures import LIKELIHOOD, MEASURES
from bedside_core.kinds.policy import Guard, Policy, Target
from bedside_eval.detectable import clusters_needed, items_needed
from bedside_eval.measured import Measured
from bedside_eval.records import AGAINST, LABELS, Finding, Lost, Role
from bedside_eval.statistics.estimate import Estimate, standing, turned
from bedside_eval.statistics.families import holm
from bedside_eval.statistics.tail import tail

Condition = Target | Guard


class Decision(NamedTuple):
    """A verdict and what it rests on."""

    verdict: Verdict
    findings: tuple[Finding, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """One sentence for each finding, those that decided it first."""
        order = ("fails", "open", "holds")
        return tuple(f.reason for f in sorted(self.findings, key=lambda f: order.index(f.outcome)))


def decide(policy: Policy, measured: Measured, settings: Iterable[Finding] = ()) -> Decision:
    """Judge the candidate against base, incumbent and reference, as far as they were measured.

    PROMOTE if everything holds; REJECT if something is shown to fail; NOT_ENOUGH_EVIDENCE
    otherwise.

    Args:
        policy: the conditions.
        measured: on the clean part of the sealed texts, at one look's confidence.
        settings: findings that rest on no measure, such as another chat template.
    """
    rivals = [role for role in AGAINST if role in measured.results]
    found = [finding for condition in policy.conditions for rival in rivals
             for finding in _compare(policy, condition, rival, measured)]  # fmt: skip
    found += [f for guard in policy.guards for f in _floor(guard, measured)]
    found += _sizes(policy, measured)
    findings = (*settings, *_harm(policy, found))
    outcomes = {finding.outcome for finding in findings}
    if "fails" in outcomes:
        return Decision("REJECT", findings)
    return Decision("NOT_ENOUGH_EVIDENCE" if "open" in outcomes else "PROMOTE", findings)


def family_size(policy: Policy) -> int:
    """Claims of harm that share one error at most: each guard, against each other model."""
    families: dict[str, int] = defaultdict(int)
    for guard in policy.guards:
        families[guard.family] += len(AGAINST)
    return max(families.values())


def _compare(
    policy: Policy, condition: Condition, rival: Role, measured: Measured
) -> Iterator[Finding]:
    kind = "target" if isinstance(condition, Target) else "guard"
    about = {"measure": condition.measure, "of": condition.of, "against": rival}
    if not measured.takes(condition.measure, condition.of):
        reason = _not_measured(condition, measured)
        yield Finding(condition=kind, **about, outcome="open", reason=reason)
        return
    gain = measured.gain(condition.measure, condition.of, rival)
    improves = isinstance(condition, Target) and rival == "base"
    margin = condition.min_gain if isinstance(condition, Target) and improves else 0.0
    threshold = margin if improves else -condition.max_loss
    where = standing(gain.estimate, threshold)
    outcome = {"above": "holds", "below": "fails"}.get(where.relation, "open")
    p = None
    if outcome != "holds" and not improves:
        p, outcome = gain.p_below(threshold), "open"
    needed = _needed(policy, condition, rival, measured, threshold) if outcome == "open" else None
    shown = gain.estimate if improves else turned(gain.estimate)
    sentence = _sentence(condition, rival, shown, abs(threshold), improves=improves)
    explained = _explained(where.relation, where.above, where.below, improves=improves)
    yield Finding(
        condition=kind, **about, outcome=outcome, margin=abs(threshold), estimate=shown, p=p,
        needed=needed, reason=f"{sentence}, {explained}{_missing(condition, needed)}.",
    )  # fmt: skip
    if condition.measure == LIKELIHOOD:
        yield _tail(policy, condition, rival, measured)


def _needed(
    policy: Policy, condition: Condition, rival: Role, measured: Measured, threshold: float
) -> int | None:
    """Clusters or items that would decide it, if what was seen is true."""
    found = MEASURES[condition.measure]
    if found.form == "statistic":
        return None
    if found.form != "binary":
        gains = measured.gains(condition.measure, condition.of, rival)
        return clusters_needed(policy, gains, threshold, tail=condition.measure == LIKELIHOOD)
    ours, theirs = (
        measured.values(condition.measure, condition.of, role) for role in ("candidate", rival)
    )
    if found.less_is_better:
        ours, theirs = [1 - value for value in ours], [1 - value for value in theirs]
    count = len(ours)
    differing = sum(a != b for a, b in zip(ours, theirs, strict=True)) / count
    gain = (sum(ours) - sum(theirs)) / count
    return items_needed(policy, gain, differing, threshold, sum(theirs) / count)


def _missing(condition: Condition, needed: int | None) -> str:
    if needed is None:
        return ""
    what = "items" if MEASURES[condition.measure].form == "binary" else "clusters"
    return f"; about {needed} {what} would show it if this is the truth"


def _tail(policy: Policy, condition: Condition, rival: Role, measured: Measured) -> Finding:
    delta, share = policy.tail.delta, policy.tail.max_share
    gains = measured.gains(LIKELIHOOD, condition.of, rival)
    lost = tail(gains, delta=delta, confidence=1 - policy.alpha)
    holds = lost.bound <= share
    return Finding(
        condition="guard", measure="tail", of=condition.of, against=rival,
        outcome="holds" if holds else "open", margin=share,
        lost=Lost(clusters=lost.lost, of=lost.clusters, bound=lost.bound),
        reason=(
            f"Of {lost.clusters} clusters of {condition.of}, {lost.lost} lose more than {delta:g} "
            f"bits per byte against the {LABELS[rival]}: at most {100 * lost.bound:.1f} % of all, "
            f"{'within' if holds else 'more than'} the allowed {100 * share:g} %."
        ),
    )  # fmt: skip


def _floor(guard: Guard, measured: Measured) -> Iterator[Finding]:
    if guard.floor is None or not measured.takes(guard.measure, guard.of):
        return
    own = measured.own(guard.measure, guard.of).estimate
    where = standing(own, guard.floor)
    outcome = {"above": "holds", "below": "fails"}.get(where.relation, "open")
    relation = {
        "holds": "all of it above", "fails": "all of it below", "open": "not all of it above",
    }[outcome]  # fmt: skip
    yield Finding(
        condition="floor", measure=guard.measure, of=guard.of, against=None, outcome=outcome,
        margin=guard.floor, estimate=own,
        reason=(
            f"The candidate's {guard.measure} on {guard.of} is {_value(guard, own)}, {relation} "
            f"the floor of {100 * guard.floor:g} %."
        ),
    )  # fmt: skip


def _sizes(policy: Policy, measured: Measured) -> Iterator[Finding]:
    for name in policy.sets([LIKELIHOOD]):
        if not measured.takes(LIKELIHOOD, name):
            continue
        clusters = len(set(measured.heldout[name].labels))
        if clusters < policy.min_clusters:
            yield Finding(
                condition="setting", measure=LIKELIHOOD, of=name, against=None, outcome="open",
                needed=policy.min_clusters,
                reason=(
                    f"{name} has {clusters} clean sealed clusters, and the policy asks for "
                    f"{policy.min_clusters}."
                ),
            )  # fmt: skip


def _harm(policy: Policy, found: Sequence[Finding]) -> list[Finding]:
    """Claim harm where Holm's procedure lets it be claimed, family by family."""
    families = {(g.measure, g.of): g.family for g in policy.guards}
    claims: dict[str, dict[int, float]] = defaultdict(dict)
    for number, finding in enumerate(found):
        if finding.p is not None:
            family = families.get((finding.measure, finding.of), "")  # the target's is its own
            claims[family][number] = finding.p
    judged = list(found)
    for claim in claims.values():
        for number, p in holm(claim).items():
            shown = p <= policy.alpha / 2
            update: dict[str, object] = {"p": p}
            if shown:
                reason = found[number].reason.removesuffix(".")
                update |= {"outcome": "fails", "reason": f"{reason}: harm is shown (p {p:.2g})."}
            judged[number] = found[number].model_copy(update=update)
    return judged


def _not_measured(condition: Condition, measured: Measured) -> str:
    found = MEASURES.get(condition.measure)
    if found is not None and found.taken == "judge":
        why = measured.withheld(condition.measure, condition.of) or "all of it is in a corpus"
        return f"The policy asks for {condition.measure} on {condition.of}: not used, as {why}."
    if found is not None:
        return f"The policy asks for {condition.measure} on {condition.of}: not measured."
    known = ", ".join(MEASURES)
    return (
        f"The policy asks for {condition.measure} on {condition.of}: not measured, as this version "
        f"takes {known} alone."
    )


def _sentence(
    condition: Condition, rival: Role, shown: Estimate, margin: float, *, improves: bool
) -> str:
    what, limit = ("gain", "required") if improves else ("loss", "allowed")
    unit = "bits per byte" if condition.measure == LIKELIHOOD else f"points of {condition.measure}"
    return (
        f"The {what} on {condition.of} against the {LABELS[rival]} is {_value(condition, shown)} "
        f"{unit}, the {limit} {what} {_number(condition, margin)}"
    )


def _explained(relation: str, above: Sequence[str], below: Sequence[str], *, improves: bool) -> str:
    match relation:
        case "above":
            return "so the gain is shown" if improves else "so the loss is bounded"
        case "below" if improves:
            return "so there is no such gain"
        case "no information":
            return "and the data hold no information: too few clusters, or all of them alike"
        case "depends on the method":
            methods = ", ".join(above or below)
            return f"and whether that is shown depends on the method: by {methods} alone"
    return "so the gain is not shown" if improves else "so harm is not ruled out"


def _value(condition: Condition, estimate: Estimate) -> str:
    envelope = estimate.envelope
    value = _number(condition, estimate.estimate)
    if envelope is None:
        return value
    low, high = (_number(condition, bound) for bound in (envelope.low, envelope.high))
    return f"{value} ({100 * estimate.confidence:g} % interval {low} to {high})"


def _number(condition: Condition, value: float) -> str:
    return f"{value:z.4f}" if condition.measure == LIKELIHOOD else f"{100 * value:z.1f}"
