"""From answers to evidence: summaries, paired differences, findings, verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bedside_core.kinds.evidence import Verdict
from bedside_core.kinds.measures import LIKELIHOOD
from bedside_core.kinds.plan import Plan
from bedside_core.kinds.policy import Policy
from bedside_core.kinds.serving import ServedIdentity
from bedside_eval.averaged import gains, not_taken, own
from bedside_eval.evidence import Evidence, Setting
from bedside_eval.groups import Groups, planned_groups
from bedside_eval.judging.summary import summarise as summarise_judged
from bedside_eval.measured import Measured
from bedside_eval.records import (
    LABELS,
    METRIC_OF,
    METRICS,
    AccuracyDifference,
    Finding,
    Metric,
    ModelSummary,
    PairDifference,
    Role,
)
from bedside_eval.statistics.accuracy import mcnemar
from bedside_eval.verdict import Decision, decide

MEASURE_OF = {metric: measure for measure, metric in METRIC_OF.items()}


class Subject(NamedTuple):
    """What evidence is about, whatever was measured."""

    digests: Mapping[Role, str]
    served: ServedIdentity
    plan: Plan
    planned: str
    """Hash of the plan's entry."""
    look: str | None


def conclude(
    subject: Subject, measured: Measured, setting: Setting, settings: tuple[Finding, ...] = ()
) -> Evidence:
    """From answers to a verdict on the candidate.

    Args:
        subject: which models, under which plan.
        measured: their answers to the sealed part.
        setting: recorded as it is.
        settings: findings that rest on no answer.
    """
    if _all_the_same(measured):
        return same_model(subject, "answers everything exactly as the base does")
    policy, groups = subject.plan.policy, planned_groups(subject.plan.setting)
    decision = decide(policy, measured, settings)
    return _evidence(subject, decision.verdict, decision).model_copy(
        update={
            "setting": setting,
            "models": {
                r: summarise(subject.digests[r], r, measured, groups) for r in measured.results
            },
            "differences": tuple(_differences(measured, groups)),
            "unmeasured_groups": not_taken(groups, measured),
            "results": dict(measured.results),
            "judging": summarise_judged(measured),
        }
    )


def same_model(subject: Subject, why: str) -> Evidence:
    """Evidence on a candidate that is no other model."""
    decision = Decision("SAME_MODEL", ())
    reason = f"The candidate {why}: there is nothing to promote."
    return _evidence(subject, "SAME_MODEL", decision).model_copy(update={"reasons": (reason,)})


def summarise(digest: str, role: Role, measured: Measured, groups: Groups) -> ModelSummary:
    """One model's likelihoods and accuracies."""
    texts = [name for name in measured.heldout if measured.takes(LIKELIHOOD, name)]
    return ModelSummary(
        digest=digest,
        bits_per_byte={name: measured.own(LIKELIHOOD, name, role).estimate for name in texts},
        nats_per_token={name: measured.nats_per_token(name, role) for name in texts},
        accuracy={
            name: {m: measured.own(MEASURE_OF[m], name, role).estimate for m in METRICS}
            for name in _exams(measured)
        },
        values={
            name: {m: measured.own(m, name, role).estimate for m in others}
            for name, others in _others(measured).items()
        },
        groups=own(groups, measured, role),
    )


def compare(candidate: Role, reference: Role, measured: Measured, groups: Groups) -> PairDifference:
    """Candidate minus reference on everything that both were asked."""
    texts = [name for name in measured.heldout if measured.takes(LIKELIHOOD, name)]
    return PairDifference(
        candidate=candidate,
        reference=reference,
        heldout={
            # A loss: the candidate's bits minus the reference's.
            name: measured.gain(LIKELIHOOD, name, candidate, reference).estimate
            for name in texts
        },
        exams={
            name: {m: _accuracies(candidate, reference, name, m, measured) for m in METRICS}
            for name in _exams(measured)
        },
        gains={
            name: {m: measured.gain(m, name, reference, candidate).estimate for m in others}
            for name, others in _others(measured).items()
        },
        groups=gains(groups, measured, reference, candidate),
    )


def _differences(measured: Measured, groups: Groups) -> list[PairDifference]:
    present = [role for role in LABELS if role in measured.results]
    pairs: list[tuple[Role, Role]] = [("candidate", r) for r in present if r != "candidate"]
    if "checkpoint" in present:
        pairs.append(("checkpoint", "base"))
    return [compare(*pair, measured, groups) for pair in pairs]


def _accuracies(
    candidate: Role, reference: Role, exam: str, metric: Metric, measured: Measured
) -> AccuracyDifference:
    measure = MEASURE_OF[metric]
    ours, theirs = (measured.values(measure, exam, role) for role in (candidate, reference))
    gained = sum(a > b for a, b in zip(ours, theirs, strict=True))
    lost = sum(b > a for a, b in zip(ours, theirs, strict=True))
    return AccuracyDifference(
        difference=measured.gain(measure, exam, reference, candidate).estimate,
        gained=gained,
        lost=lost,
        mcnemar_p=mcnemar(gained, lost),
    )


def _exams(measured: Measured) -> list[str]:
    return [name for name in measured.exams if measured.takes("accuracy", name)]


def _others(measured: Measured) -> dict[str, list[str]]:
    """By exam, the measures that are no accuracy of likelihoods."""
    taken = {name: measured.taken(name) for name in measured.exams}
    return {
        name: others
        for name, measures in taken.items()
        if (others := [measure for measure in measures if measure not in METRIC_OF])
    }


def _all_the_same(measured: Measured) -> bool:
    """Weights may be stored otherwise and still be the same model."""
    return measured.results["candidate"] == measured.results["base"]


def _evidence(subject: Subject, verdict: Verdict, decision: Decision) -> Evidence:
    policy: Policy = subject.plan.policy
    return Evidence(
        candidate=subject.digests["candidate"],
        base=subject.digests["base"],
        incumbent=subject.digests.get("incumbent"),
        reference=subject.digests.get("reference"),
        verdict=verdict,
        reasons=decision.reasons,
        scope=policy.scope,
        plan=subject.planned,
        look=subject.look,
        policy_sha256=policy.sha256,
        served=subject.served,
        policy=policy,
        confidence=1 - policy.alpha,
        setting=None,
        models={},
        differences=(),
        findings=decision.findings,
        results={},
    )
