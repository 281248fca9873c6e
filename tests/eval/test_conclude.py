"""From answers to evidence: who is compared with whom, in which direction, and who is judged."""

from __future__ import annotations

import pytest

from bedside_eval.conclude import PAIRS, compare, conclude, summarise
from bedside_eval.evidence import Setting, judged
from bedside_eval.policy import Guard, Policy, Target
from bedside_eval.records import ItemScore, ModelScores, Role, TextScore
from bedside_eval.statistics.bootstrap import Bootstrap

BOOTSTRAP = Bootstrap(confidence=0.95, samples=500, seed=17)
POLICY = Policy(
    target=Target(heldout="medical", min_gain=0.0),
    guards=(Guard(heldout="general", max_loss=0.1),),
    confidence=0.95,
)
DIGESTS = {"base": "b" * 64, "checkpoint": "c" * 64, "merged": "m" * 64}


def scores(medical: float, general: float, right: int) -> ModelScores:
    """Eight texts around a likelihood per token, and eight questions of which some are right."""

    def texts(mean: float) -> tuple[TextScore, ...]:
        per_token = [mean + 0.01 * n for n in range(8)]
        return tuple(
            TextScore(id=f"t{n}", tokens=10 * (n + 1), bytes=30, nll=x * 10 * (n + 1))
            for n, x in enumerate(per_token)
        )

    items = tuple(
        ItemScore(
            id=f"q{n}",
            answer=0,
            loglikelihoods=(-1.0, -2.0),
            choice={"acc": int(n >= right), "acc_norm": 0},
            correct={"acc": n < right, "acc_norm": True},
        )
        for n in range(8)
    )
    return ModelScores(
        heldout={"medical": texts(medical), "general": texts(general)}, exams={"exam": items}
    )


RESULTS: dict[Role, ModelScores] = {
    "base": scores(4.0, 3.0, 2),
    "checkpoint": scores(3.0, 3.5, 6),
    "merged": scores(3.5, 3.05, 5),
}


def concluded(results: dict[Role, ModelScores], policy: Policy = POLICY):
    return conclude(policy, BOOTSTRAP, DIGESTS, results, Setting.model_construct())


def test_differences_are_candidate_minus_reference() -> None:
    difference = compare("merged", "base", RESULTS, BOOTSTRAP)
    assert difference.heldout["medical"].estimate == pytest.approx(-0.5)
    assert difference.heldout["general"].estimate == pytest.approx(0.05)
    exam = difference.exams["exam"]["acc"]
    assert (exam.gained, exam.lost) == (3, 0)
    assert exam.difference.estimate == pytest.approx(3 / 8)
    back = compare("base", "merged", RESULTS, BOOTSTRAP)
    assert back.heldout["medical"].estimate == pytest.approx(0.5)


def test_the_verdict_is_on_the_merged_model_against_its_base() -> None:
    evidence = concluded(RESULTS)
    assert (evidence.candidate, evidence.base) == (DIGESTS["merged"], DIGESTS["base"])
    assert [(d.candidate, d.reference) for d in evidence.differences] == list(PAIRS)
    assert judged(evidence.differences).heldout == evidence.differences[1].heldout
    assert evidence.verdict == "PROMOTE"
    # Of the checkpoint, which loses too much on general texts, the same policy says no.
    swapped = {**RESULTS, "merged": RESULTS["checkpoint"], "checkpoint": RESULTS["merged"]}
    assert concluded(swapped).verdict == "REJECT"


def test_no_gain_is_no_promotion() -> None:
    assert concluded({**RESULTS, "merged": RESULTS["base"]}).verdict == "REJECT"


def test_answers_to_different_papers_are_not_compared() -> None:
    short = RESULTS["merged"].model_copy(
        update={"heldout": {k: v[:-1] for k, v in RESULTS["merged"].heldout.items()}}
    )
    with pytest.raises(ValueError, match="longer"):
        concluded({**RESULTS, "merged": short})


def test_perplexity_is_over_tokens_and_accuracy_over_items() -> None:
    summary = summarise(DIGESTS["merged"], RESULTS["merged"], BOOTSTRAP)
    texts = RESULTS["merged"].heldout["medical"]
    mean = sum(t.nll for t in texts) / sum(t.tokens for t in texts)
    interval = summary.perplexity["medical"]
    assert interval.estimate == pytest.approx(2.718281828459045**mean)
    assert interval.low < interval.estimate < interval.high
    assert summary.accuracy["exam"]["acc"].estimate == pytest.approx(5 / 8)


def test_the_same_answers_give_the_same_evidence() -> None:
    assert concluded(RESULTS) == concluded(RESULTS)
