"""From answers to evidence: summaries, paired differences, verdict."""

from __future__ import annotations

from collections.abc import Mapping

from bedside_eval.evidence import Evidence, Setting, judged
from bedside_eval.policy import Policy, decide
from bedside_eval.records import METRICS, ModelScores, ModelSummary, PairDifference, Role
from bedside_eval.statistics.bootstrap import Bootstrap, wilson

PAIRS: tuple[tuple[Role, Role], ...] = (
    ("checkpoint", "base"),
    ("merged", "base"),
    ("merged", "checkpoint"),
)
"""Candidate and reference of every comparison."""


def conclude(
    policy: Policy,
    bootstrap: Bootstrap,
    digests: Mapping[str, str],
    results: dict[Role, ModelScores],
    setting: Setting,
    *,
    exploratory: bool = False,
) -> Evidence:
    """From answers to a verdict on the merged model.

    Args:
        policy: the conditions of the verdict.
        bootstrap: makes the intervals, at the policy's confidence.
        digests: of the models, by role.
        results: every model's answers to the same paper.
        setting: recorded as it is.
        exploratory: whether the answers were known before the policy was.
    """
    differences = tuple(compare(*roles, results, bootstrap) for roles in PAIRS)
    decision = decide(policy, judged(differences).heldout)
    return Evidence(
        candidate=digests["merged"],
        base=digests["base"],
        verdict=decision.verdict,
        exploratory=exploratory,
        reasons=decision.reasons,
        checkpoint=digests["checkpoint"],
        policy=policy,
        confidence=bootstrap.confidence,
        setting=setting,
        bootstrap={"seed": bootstrap.seed, "samples": bootstrap.samples},
        models={
            role: summarise(digests[role], scores, bootstrap) for role, scores in results.items()
        },
        differences=differences,
        results=results,
    )


def summarise(digest: str, scores: ModelScores, bootstrap: Bootstrap) -> ModelSummary:
    """Perplexities and accuracies of one model."""
    return ModelSummary(
        digest=digest,
        perplexity={
            name: bootstrap.perplexity([t.nll for t in texts], [t.tokens for t in texts])
            for name, texts in scores.heldout.items()
        },
        accuracy={
            name: {
                m: wilson(sum(i.correct[m] for i in items), len(items), bootstrap.confidence)
                for m in METRICS
            }
            for name, items in scores.exams.items()
        },
    )


def compare(
    candidate: Role, reference: Role, results: Mapping[Role, ModelScores], bootstrap: Bootstrap
) -> PairDifference:
    """Candidate minus reference, item by item, on everything that both were asked."""
    ours, theirs = results[candidate], results[reference]
    return PairDifference(
        candidate=candidate,
        reference=reference,
        heldout={
            name: bootstrap.mean(
                [
                    a.nll_per_token - b.nll_per_token
                    for a, b in zip(texts, theirs.heldout[name], strict=True)
                ]
            )
            for name, texts in ours.heldout.items()
        },
        exams={
            name: {
                m: bootstrap.accuracy_difference(
                    [i.correct[m] for i in items], [i.correct[m] for i in theirs.exams[name]]
                )
                for m in METRICS
            }
            for name, items in ours.exams.items()
        },
    )
