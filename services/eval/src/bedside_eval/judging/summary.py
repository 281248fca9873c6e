"""From signs to win-rates, ladders and changes of failures, on the items that are clean.

Tested in tests/eval/judging/test_judged.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from bedside_eval.judging.ladder import ladder
from bedside_eval.judging.length import controlled, slope
from bedside_eval.judging.pairs import habits, role_pairs, scores
from bedside_eval.judging.questions import MODES
from bedside_eval.judging.records import (
    FailureChange,
    JudgedPair,
    Judging,
    Ladder,
    Rung,
    WinRate,
)
from bedside_eval.measured import Measured
from bedside_eval.statistics.difference import difference
from bedside_eval.statistics.estimate import turned
from bedside_eval.statistics.resampling import seed_of


def summarise(measured: Measured) -> Judging | None:
    """What follows from what the judges said; None where nobody was asked."""
    judged = measured.judged
    if judged is None:
        return None
    exams = [exam for exam in judged.exams if any(measured.exams[exam].kept)]
    return Judging(
        judged=judged,
        win_rates=tuple(
            _win_rate(measured.pair(pair.exam, pair.first, pair.second), measured)
            for pair in judged.pairs
            if pair.exam in exams
        ),
        ladders=tuple(_ladder(exam, measured) for exam in exams),
        failures=tuple(change for exam in exams for change in _changes(exam, measured)),
        advisory={exam: missing for exam in exams if (missing := judged.advisory(exam))},
    )


def _win_rate(pair: JudgedPair, measured: Measured) -> WinRate:
    groups = measured.exams[pair.exam]
    clean, longer = scores(pair), pair.longer
    label = f"{pair.exam} {pair.first} {pair.second}"
    raw, equal = (seed_of([groups.sha256], f"win_rate {how} {label}") for how in ("raw", "equal"))
    confidence = measured.confidence
    found = habits(pair)
    return WinRate(
        exam=pair.exam, first=pair.first, second=pair.second,
        wins=sum(score > 0.5 for score in clean),
        ties=sum(score == 0.5 for score in clean),
        losses=sum(score < 0.5 for score in clean),
        raw=difference(measured.won(pair), confidence=confidence, seed=raw).estimate,
        controlled=controlled(
            clean, longer, groups.labels, confidence=confidence, seed=equal
        ).estimate,
        slope=slope(clean, longer, groups.labels),
        order_consistent=found.order_consistent, first_position=found.first_position,
        kappa=found.kappa, invalid=found.invalid, unanswered=found.unanswered,
        verdicts=found.verdicts,
    )  # fmt: skip


def _ladder(exam: str, measured: Measured) -> Ladder:
    assert measured.judged is not None  # noqa: S101 - asked by the caller
    won = {
        (pair.first, pair.second): measured.won(measured.pair(exam, pair.first, pair.second))
        for pair in measured.judged.pairs
        if pair.exam == exam
    }
    found = ladder(won, seed=seed_of([measured.exams[exam].sha256], f"ladder {exam}"))
    rungs = tuple(Rung(role=role, strength=strength) for role, strength in found)
    return Ladder(exam=exam, rungs=rungs)


def _changes(exam: str, measured: Measured) -> Iterator[FailureChange]:
    """Of the candidate against every other model, and of the checkpoint against the base."""
    for first, second in role_pairs(measured.results):
        if first != "candidate" and (first, second) != ("base", "checkpoint"):
            continue
        if first == "base":
            first, second = second, first
        for mode in MODES:
            measure = f"failure_{mode}"
            ours, theirs = (measured.by_cluster(measure, exam, role) for role in (first, second))
            gain = measured.gain(measure, exam, second, first).estimate
            yield FailureChange(
                exam=exam, mode=mode, first=first, second=second,
                shares=(float(ours.mean()), float(theirs.mean())), change=turned(gain),
            )  # fmt: skip
