"""A judge sits its own exam: what it must notice, and what it must not be moved by.

A pair counts as one trial and is passed only if both orders are as they must be. A part holds if
the exact one-sided 95 % limit (Clopper and Pearson 1934) below the share of passed pairs reaches
the part's threshold; the card is passed if all parts hold, so that no correction is due
(intersection-union test, Berger 1982). A reply without a verdict passes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from scipy import stats

from bedside_core.config import canonical_json
from bedside_eval.judging.agreement import cohen_kappa, gwet_ac1
from bedside_eval.judging.asking import Judge, Reply
from bedside_eval.judging.battery import (
    PAIRS,
    PARTS,
    VERSION,
    Expected,
    Pair,
    Part,
    languages,
    pairs,
    to_reword,
)
from bedside_eval.judging.clinicians import ClinicianPair
from bedside_eval.judging.questions import pair_body, read_text, read_winner, reword_body
from bedside_eval.judging.records import (
    UNJUDGED,
    HumanAgreement,
    JudgeCard,
    PartResult,
    Said,
)

CONFIDENCE = 0.95
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
MIRRORED: frozenset[tuple[Said, Said]] = frozenset({("A", "B"), ("B", "A"), ("0", "0")})
PASSED: dict[Expected, frozenset[tuple[Said, Said]]] = {
    # What is said with the right answer first, and with it second.
    "loses": frozenset({("A", "B")}),
    "does not win": frozenset({("A", "B"), ("A", "0"), ("0", "B"), ("0", "0")}),
    "tie": frozenset({("0", "0")}),
    "mirrored": MIRRORED,
}


def sit(judge: Judge, language: str, labelled: Sequence[ClinicianPair] = ()) -> JudgeCard:
    """Ask a judge its exam in one language, and what clinicians have labelled.

    Raises:
        InputError: the judge is gone, or is another one now.
    """
    parts: tuple[PartResult, ...] = ()
    asked = ""
    if language in languages():
        trials = [*pairs(language), *_own_words(judge, language)]
        bodies = [
            body
            for trial in trials
            for body in (
                pair_body(trial.question, "", trial.right, trial.other),
                pair_body(trial.question, "", trial.other, trial.right),
            )
        ]
        asked = hashlib.sha256(canonical_json(bodies)).hexdigest()
        said = winners(judge.ask(f"card/{language}", bodies, read_winner))
        parts = _results(trials, list(zip(said[::2], said[1::2], strict=True)))
    humans = _beside_humans(judge, language, labelled) if labelled else None
    return JudgeCard(
        judge=judge.identity, language=language, version=VERSION, questions=asked, parts=parts,
        humans=humans,
    )  # fmt: skip


def _own_words(judge: Judge, language: str) -> list[Pair]:
    """Wrong answers in the judge's words, as far as the mistake is still in them."""
    found = []
    originals = to_reword(language)
    bodies = [reword_body(pair.other) for pair in originals]
    for pair, reply in zip(
        originals, judge.ask(f"words/{language}", bodies, read_text), strict=True
    ):
        wrong = set(_NUMBER.findall(pair.other)) - set(_NUMBER.findall(pair.right))
        if isinstance(reply.value, str) and wrong & set(_NUMBER.findall(reply.value)):
            found.append(pair._replace(other=reply.value))
    return found


def _results(trials: Sequence[Pair], said: Sequence[tuple[Said, Said]]) -> tuple[PartResult, ...]:
    by_part: dict[str, list[tuple[Said, Said]]] = {part.name: [] for part in PARTS}
    for trial, both in zip(trials, said, strict=True):
        by_part[trial.part].append(both)
    return tuple(_result(part, by_part[part.name]) for part in PARTS)


def _result(part: Part, said: Sequence[tuple[Said, Said]]) -> PartResult:
    """Of `PAIRS` trials, whatever became of them."""
    passed = sum(both in PASSED[part.expected] for both in said)
    read = sum(not set(both) & set(UNJUDGED) for both in said)
    return PartResult(
        part=part.name, passed=passed, of=PAIRS, unjudged=PAIRS - read,
        limit=limit(passed, PAIRS), threshold=part.threshold,
    )  # fmt: skip


def limit(passed: int, of: int) -> float:
    """The exact one-sided limit below a share."""
    test = stats.binomtest(passed, of, alternative="greater")
    return float(test.proportion_ci(CONFIDENCE, method="exact").low)


def _beside_humans(
    judge: Judge, language: str, labelled: Sequence[ClinicianPair]
) -> HumanAgreement:
    bodies = [
        body
        for pair in labelled
        for body in (
            pair_body(pair.question, pair.context, pair.a, pair.b),
            pair_body(pair.question, pair.context, pair.b, pair.a),
        )
    ]
    said = winners(judge.ask(f"clinicians/{language}", bodies, read_winner))
    ours, theirs = [], []
    for pair, forward, backward in zip(labelled, said[::2], said[1::2], strict=True):
        if not {forward, backward} & set(UNJUDGED):
            # What changes with the order is no preference.
            ours.append(forward if (forward, backward) in MIRRORED else "0")
            theirs.append(pair.winner)
    return HumanAgreement(
        pairs=len(labelled), unjudged=len(labelled) - len(ours),
        same=sum(a == b for a, b in zip(ours, theirs, strict=True)),
        kappa=cohen_kappa(ours, theirs), ac1=gwet_ac1(ours, theirs),
    )  # fmt: skip


def winners(replies: Sequence[Reply]) -> list[Said]:
    """One sign for each reply."""
    signs: dict[str, Said] = {"invalid": "!", "unanswered": "?"}
    return [signs.get(reply.became) or reply.value for reply in replies]
