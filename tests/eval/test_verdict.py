"""What a policy makes of scores: every outcome of every kind of condition."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from bedside_core.kinds.policy import Policy
from bedside_eval.measured import Grouping, Measured, numbered
from bedside_eval.records import Finding, ItemScore, ModelScores, Role
from bedside_eval.verdict import Decision, decide, family_size
from bedside_models.scores import TextScore

BYTES = 1000


def policy(**changes: Any) -> Policy:
    return Policy.model_validate(
        {
            "name": "test",
            "target": {"of": "medical", "min_gain": 0.0, "max_loss": 0.02},
            "guards": [{"of": "general", "max_loss": 0.05}],
            "tail": {"delta": 0.1, "max_share": 0.2},
            "min_clusters": 14,
            "confidence": 0.95,
        }
        | changes
    )


def texts(bits: Sequence[float]) -> tuple[TextScore, ...]:
    """One text a cluster, with these bits per byte."""
    return tuple(
        TextScore(id=f"t{n}", tokens=100, bytes=BYTES, nll=value * BYTES * math.log(2))
        for n, value in enumerate(bits)
    )


def items(right: Sequence[bool]) -> tuple[ItemScore, ...]:
    return tuple(
        ItemScore(
            id=f"q{n}", answers=(0,), loglikelihoods=(0.0, -1.0),
            choice={"acc": 0, "acc_norm": 0}, correct={"acc": answer, "acc_norm": answer},
        )
        for n, answer in enumerate(right)
    )  # fmt: skip


def spread(mean: float, sd: float, count: int, seed: int = 1) -> list[float]:
    """Numbers with exactly this mean and standard deviation."""
    drawn = np.random.default_rng(seed).normal(size=count)
    return list(mean + sd * (drawn - drawn.mean()) / drawn.std(ddof=1))


def measured(
    gains: Mapping[Role, Mapping[str, Sequence[float]]],
    exams: Mapping[Role, Sequence[bool]] | None = None,
    excluded: Mapping[str, Sequence[int]] | None = None,
) -> Measured:
    """`gains`: by rival and set, how much less bits per byte the candidate needs, per cluster."""
    sets = {name: len(values) for name, values in gains["base"].items()}
    candidate = {name: [2.0] * count for name, count in sets.items()}
    results: dict[Role, ModelScores] = {}
    right = exams or {}
    for role in (*gains, "candidate"):
        own = {n: [2.0 + g for g in gains[role][n]] for n in sets} if role in gains else candidate
        results[role] = ModelScores(
            heldout={name: texts(values) for name, values in own.items()},
            exams={"exam": items(right[role])} if role in right else {},
        )
    heldout = {
        name: Grouping(tuple(range(count)), frozenset((excluded or {}).get(name, ())), "a" * 64)
        for name, count in sets.items()
    }
    of_exams = {}
    if right:
        count = len(right["candidate"])
        of_exams = {"exam": Grouping(tuple(range(count)), frozenset(), "b" * 64)}
    return Measured(results, heldout, of_exams, confidence=0.95)


def good(count: int = 16) -> dict[str, list[float]]:
    return {"medical": spread(0.1, 0.03, count), "general": spread(0.0, 0.02, count, seed=2)}


def of(decision: Decision, condition: str, name: str = "") -> list[Finding]:
    return [f for f in decision.findings if f.condition == condition and name in (f.of, "")]


def test_a_gain_without_loss_is_promoted() -> None:
    decision = decide(policy(), measured({"base": good()}))

    assert decision.verdict == "PROMOTE"
    assert {f.outcome for f in decision.findings} == {"holds"}
    assert "so the gain is shown" in decision.reasons[0]


def test_no_gain_is_rejected_and_little_is_not_enough() -> None:
    worse = good() | {"medical": spread(-0.1, 0.03, 16)}
    little = good() | {"medical": spread(0.005, 0.03, 16)}

    assert decide(policy(), measured({"base": worse})).verdict == "REJECT"
    decision = decide(policy(), measured({"base": little}))
    assert decision.verdict == "NOT_ENOUGH_EVIDENCE"
    assert "so the gain is not shown" in decision.reasons[0]


def test_shown_harm_is_rejected_and_possible_harm_is_not_promoted() -> None:
    harm = good() | {"general": spread(-0.2, 0.03, 16)}
    maybe = good() | {"general": spread(-0.04, 0.04, 16)}

    rejected = decide(policy(), measured({"base": harm}))
    assert rejected.verdict == "REJECT"
    assert "harm is shown" in rejected.reasons[0]
    assert decide(policy(), measured({"base": maybe})).verdict == "NOT_ENOUGH_EVIDENCE"


def test_harm_in_one_of_many_guards_is_claimed_by_holm() -> None:
    """Five guards a hair beyond their margin: each alone might be shown, together none is."""
    guards = [{"of": f"g{n}", "max_loss": 0.05} for n in range(5)]
    barely = {f"g{n}": spread(-0.05 - 0.0135, 0.02, 16, seed=n) for n in range(5)}
    alone = decide(
        policy(guards=guards[:1]), measured({"base": {"medical": good()["medical"],
                                                      "g0": barely["g0"]}})
    )  # fmt: skip
    together = decide(
        policy(guards=guards), measured({"base": {"medical": good()["medical"]} | barely})
    )

    assert alone.verdict == "REJECT"
    ps = [f.p for f in together.findings if f.of == "g0" and f.p is not None]
    assert ps[0] > next(f.p for f in alone.findings if f.p is not None)
    assert family_size(policy(guards=guards)) == 15


def test_a_worse_model_than_the_one_that_is_served_is_not_promoted() -> None:
    """Better than its own base, and much worse than what it would replace (finding 10)."""
    incumbent = good() | {"medical": spread(-0.3, 0.03, 16)}
    decision = decide(policy(), measured({"base": good(), "incumbent": incumbent}))

    assert decision.verdict == "REJECT"
    assert "against the incumbent" in decision.reasons[0]


def test_as_good_as_the_incumbent_is_enough() -> None:
    incumbent = {"medical": spread(0.0, 0.01, 16), "general": spread(0.0, 0.01, 16)}
    assert decide(policy(), measured({"base": good(), "incumbent": incumbent})).verdict == "PROMOTE"


def test_a_few_that_lose_much_are_seen_though_the_mean_is_good() -> None:
    gains = [0.15] * 14 + [-0.4, -0.5]
    gains = [g + 0.001 * n for n, g in enumerate(gains)]
    decision = decide(policy(), measured({"base": good() | {"general": gains}}))

    tails = [f for f in decision.findings if f.measure == "tail" and f.of == "general"]
    assert decision.verdict == "NOT_ENOUGH_EVIDENCE"
    assert tails[0].lost is not None
    assert tails[0].lost.clusters == 2
    assert tails[0].outcome == "open"


def test_copies_of_one_text_are_no_information() -> None:
    copies = good() | {"medical": [0.3] * 16}
    decision = decide(policy(), measured({"base": copies}))

    assert decision.verdict == "NOT_ENOUGH_EVIDENCE"
    assert "no information" in decision.reasons[0]


def test_too_few_clean_clusters_are_not_enough() -> None:
    decision = decide(policy(), measured({"base": good()}, excluded={"general": [0, 1, 2]}))

    assert decision.verdict == "NOT_ENOUGH_EVIDENCE"
    sizes = [f for f in decision.findings if f.condition == "setting"]
    assert (sizes[0].of, sizes[0].needed) == ("general", 14)
    assert "13 clean sealed clusters" in sizes[0].reason


@pytest.mark.parametrize(
    ("measure", "told"),
    [("win_rate", "not used, as no judge was asked"), ("accuracy", "not measured")],
)
def test_what_nobody_measured_is_not_enough(measure: str, told: str) -> None:
    guards = [{"of": "general", "max_loss": 0.05},
              {"measure": measure, "of": "letters", "max_loss": 0.05}]  # fmt: skip
    decision = decide(policy(guards=guards), measured({"base": good()}))

    assert decision.verdict == "NOT_ENOUGH_EVIDENCE"
    assert f"{measure} on letters: {told}" in decision.reasons[0]


EXAM = [{"of": "general", "max_loss": 0.05},
        {"measure": "accuracy", "of": "exam", "max_loss": 0.05, "floor": 0.3}]  # fmt: skip


def sat(right: int, count: int = 400) -> list[bool]:
    return [n < right for n in range(count)]


def test_an_exam_that_is_lost_is_rejected() -> None:
    """100 % of an exam to 0 %, with better likelihood: PROMOTE before (finding 3)."""
    exams: dict[Role, list[bool]] = {"base": sat(400), "candidate": sat(0)}
    decision = decide(policy(guards=EXAM), measured({"base": good()}, exams))

    assert decision.verdict == "REJECT"


def test_a_model_at_chance_is_not_promoted() -> None:
    exams: dict[Role, list[bool]] = {"base": sat(100), "candidate": sat(100)}
    decision = decide(policy(guards=EXAM), measured({"base": good()}, exams))
    floors = [f for f in decision.findings if f.condition == "floor"]

    assert decision.verdict in ("REJECT", "NOT_ENOUGH_EVIDENCE")
    assert floors[0].outcome != "holds"


def test_an_exam_that_is_kept_is_promoted() -> None:
    exams: dict[Role, list[bool]] = {"base": sat(300), "candidate": sat(302)}
    assert decide(policy(guards=EXAM), measured({"base": good()}, exams)).verdict == "PROMOTE"


def test_a_finding_of_the_setting_keeps_a_model_back() -> None:
    template = Finding(
        condition="setting", measure="generation", of="chat_template", against="base",
        outcome="open", reason="The chat template is not the base's.",
    )  # fmt: skip
    decision = decide(policy(), measured({"base": good()}), [template])

    assert decision.verdict == "NOT_ENOUGH_EVIDENCE"
    assert decision.reasons[0] == "The chat template is not the base's."


def test_verdict_and_table_have_one_weighting() -> None:
    """14 short texts better, 2 long ones worse: a mean over texts and one over tokens disagreed."""
    sizes = [50] * 14 + [3000, 4000]
    gains = [0.25] * 14 + [-0.35] * 2
    scores = {
        role: tuple(
            TextScore(id=f"t{n}", tokens=size, bytes=size, nll=size * math.log(2) * (2 + shift))
            for n, (size, shift) in enumerate(zip(sizes, shifts, strict=True))
        )
        for role, shifts in (("base", gains), ("candidate", [0.0] * 16))
    }
    found = Measured(
        {role: ModelScores(heldout={"medical": s}, exams={}) for role, s in scores.items()},  # type: ignore[misc]
        {"medical": Grouping(tuple(range(16)), frozenset(), "a" * 64)}, {}, confidence=0.95,
    )  # fmt: skip

    gain = found.gain("likelihood", "medical", "base").estimate.estimate
    shown = (
        found.own("likelihood", "medical", "base").estimate.estimate
        - found.own("likelihood", "medical", "candidate").estimate.estimate
    )
    assert gain == pytest.approx(shown)
    assert gain == pytest.approx(sum(gains) / 16)


def test_texts_of_one_patient_count_once() -> None:
    bits = [2.0, 2.2, 3.0]
    found = Measured(
        {"candidate": ModelScores(heldout={"medical": texts(bits)}, exams={})},
        {"medical": Grouping(numbered(["p1", "p1", "p2"]), frozenset(), "a" * 64)}, {},
        confidence=0.95,
    )  # fmt: skip

    assert list(found.bits_per_byte("medical", "candidate")) == pytest.approx([2.1, 3.0])
    assert numbered(["b", "a", "b"]) == (0, 1, 0)


def sure(right: Sequence[bool], margin: float) -> tuple[ItemScore, ...]:
    """Items with two options; the likelier one is ahead by so many nats."""
    return tuple(
        ItemScore(
            id=f"q{n}", answers=(0 if answer else 1,), loglikelihoods=(0.0, -margin),
            choice={"acc": 0, "acc_norm": 0}, correct={"acc": answer, "acc_norm": answer},
        )
        for n, answer in enumerate(right)
    )  # fmt: skip


@pytest.mark.parametrize("measure", ["brier", "ece", "coverage_accuracy"])
@pytest.mark.parametrize("margin", [1.0, 9.0])
def test_a_candidate_that_is_as_right_and_too_sure_is_held_by_its_calibration(
    measure: str, margin: float
) -> None:
    """It answers 6 of 10 right, as its base does, and is sure of 73 % or of all."""
    found = measured({"base": good()}, {"base": [True] * 60, "candidate": [True] * 60})
    right = [n % 10 < 6 for n in range(60)]
    results = {
        role: scores.model_copy(update={"exams": {"exam": sure(right, by)}})
        for (role, scores), by in zip(found.results.items(), (1.0, margin), strict=True)
    }
    found = Measured(results, found.heldout, found.exams, confidence=0.95)
    guards = [{"of": "general", "max_loss": 0.05}, {"measure": measure, "of": "exam",
                                                    "max_loss": 0.05}]  # fmt: skip
    decision = decide(policy(guards=guards), found)
    if measure == "coverage_accuracy" or margin == 1.0:
        assert decision.verdict == "NOT_ENOUGH_EVIDENCE"  # two models that are alike hold nothing
        assert any("no information" in reason for reason in decision.reasons)
    else:
        assert decision.verdict == "REJECT"
        assert any(f"points of {measure}" in r and "harm is shown" in r for r in decision.reasons)
