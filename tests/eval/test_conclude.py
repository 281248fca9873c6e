"""From answers to evidence: who is compared with whom, in which direction, and who is judged."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bedside_core.kinds.plan import Plan
from bedside_core.kinds.serving import ServedIdentity
from bedside_eval.conclude import Subject, compare, conclude, same_model, summarise
from bedside_eval.evidence import Evidence, Setting
from bedside_eval.measured import Grouping, Measured
from bedside_eval.records import ItemScore, ModelScores, Role
from bedside_models.scores import TextScore

DIGESTS: dict[Role, str] = {"base": "b" * 64, "checkpoint": "c" * 64, "candidate": "m" * 64}
TEXTS = 16


def scores(medical: float, general: float, right: int) -> ModelScores:
    """16 texts around a number of bits per byte, and 16 questions of which some are right."""

    def texts(mean: float, factor: float) -> tuple[TextScore, ...]:
        bits = [mean + factor * math.sin(n) for n in range(TEXTS)]
        return tuple(
            TextScore(id=f"t{n}", tokens=10, bytes=30, nll=x * 30 * math.log(2))
            for n, x in enumerate(bits)
        )

    items = tuple(
        ItemScore(
            id=f"q{n}",
            answers=(0,),
            loglikelihoods=(-1.0, -2.0),
            choice={"acc": int(n >= right), "acc_norm": 0},
            correct={"acc": n < right, "acc_norm": True},
        )
        for n in range(TEXTS)
    )
    return ModelScores(
        heldout={
            "medical": texts(medical, 0.01 * medical),
            "general": texts(general, 0.01 * right),
        },
        exams={"exam": items},
    )


RESULTS: dict[Role, ModelScores] = {
    "base": scores(4.0, 3.0, 2),
    "checkpoint": scores(3.0, 3.5, 6),
    "candidate": scores(3.5, 3.01, 5),
}


def measured(results: dict[Role, ModelScores] = RESULTS) -> Measured:
    each = Grouping(tuple(range(TEXTS)), frozenset(), "a" * 64)
    return Measured(results, {"medical": each, "general": each}, {"exam": each}, confidence=0.95)


@pytest.fixture
def subject(make_policy: Any, make_plan: Any) -> Subject:
    served = ServedIdentity(
        weights="w" * 64, files={}, chat_template=None, dtype="float32", max_model_len=64,
        engine="vllm 0",
    )  # fmt: skip
    plan: Plan = make_plan(make_policy())
    return Subject(DIGESTS, served, plan, "p" * 64, "l" * 64)


def concluded(subject: Subject, results: dict[Role, ModelScores] = RESULTS) -> Evidence:
    return conclude(subject, measured(results), Setting.model_construct())


def test_differences_are_candidate_minus_reference() -> None:
    difference = compare("candidate", "base", measured(), {})
    assert difference.heldout["medical"].estimate == pytest.approx(-0.5, abs=0.01)
    assert difference.heldout["general"].estimate == pytest.approx(0.01, abs=0.01)
    exam = difference.exams["exam"]["acc"]
    assert (exam.gained, exam.lost) == (3, 0)
    assert exam.difference.estimate == pytest.approx(3 / TEXTS)
    back = compare("base", "candidate", measured(), {})
    assert back.heldout["medical"].estimate == pytest.approx(0.5, abs=0.01)


def test_the_verdict_is_on_the_candidate_against_its_base(subject: Subject) -> None:
    evidence = concluded(subject)
    assert (evidence.candidate, evidence.base) == (DIGESTS["candidate"], DIGESTS["base"])
    assert [(d.candidate, d.reference) for d in evidence.differences] == [
        ("candidate", "base"), ("candidate", "checkpoint"), ("checkpoint", "base"),
    ]  # fmt: skip
    assert evidence.verdict == "PROMOTE"
    # Of the checkpoint, which loses too much on general texts, the same policy says no.
    swapped = {**RESULTS, "candidate": RESULTS["checkpoint"], "checkpoint": RESULTS["candidate"]}
    assert concluded(subject, swapped).verdict == "REJECT"


def test_equal_answers_are_the_same_model(subject: Subject) -> None:
    """Weights that are stored otherwise and compute the same."""
    evidence = concluded(subject, {**RESULTS, "candidate": RESULTS["base"]})
    assert evidence.verdict == "SAME_MODEL"
    assert evidence.look == "l" * 64
    assert same_model(subject, "is it").findings == ()


def test_answers_to_different_papers_are_not_compared(subject: Subject) -> None:
    short = RESULTS["candidate"].model_copy(
        update={"heldout": {k: v[:-1] for k, v in RESULTS["candidate"].heldout.items()}}
    )
    with pytest.raises(ValueError, match="longer"):
        concluded(subject, {**RESULTS, "candidate": short})


def test_a_summary_counts_each_cluster_once() -> None:
    summary = summarise(DIGESTS["candidate"], "candidate", measured(), {})
    estimate = summary.bits_per_byte["medical"]
    assert estimate.estimate == pytest.approx(3.5, abs=0.01)
    assert estimate.envelope is not None
    assert estimate.envelope.low < estimate.estimate < estimate.envelope.high
    assert summary.nats_per_token["medical"] == pytest.approx(3.5 * 3 * math.log(2), abs=0.03)
    assert summary.accuracy["exam"]["acc"].estimate == pytest.approx(5 / TEXTS)


def test_the_same_answers_give_the_same_evidence(subject: Subject) -> None:
    assert concluded(subject) == concluded(subject)
