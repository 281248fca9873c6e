"""Every judge sits its exam before a look is spent, and then judges all models' answers.

Tested in tests/eval/judging/test_judged.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from bedside_core.artifacts import Recipe
from bedside_core.console import say
from bedside_core.errors import InputError, PolicyError
from bedside_core.kinds.exam import ExamItem
from bedside_core.kinds.measures import MEASURES
from bedside_core.kinds.policy import Policy
from bedside_core.run import Run
from bedside_eval.answering.answers import Answered
from bedside_eval.config import EvalConfig
from bedside_eval.judging.asking import Judge
from bedside_eval.judging.card import sit
from bedside_eval.judging.clinicians import read_clinicians
from bedside_eval.judging.failures import look
from bedside_eval.judging.pairs import compare, is_judged, role_pairs
from bedside_eval.judging.records import JudgeCard, Judged, JudgeIdentity
from bedside_eval.records import Role
from bedside_eval.state import State


class Bench(NamedTuple):
    """The judges, with what their exam showed."""

    judges: tuple[Judge, ...]
    cards: tuple[JudgeCard, ...]
    exams: Mapping[str, Sequence[ExamItem]]
    """Those whose answers are judged."""

    @property
    def languages(self) -> dict[str, tuple[str, ...]]:
        """By exam, those of its items."""
        return {name: _languages(items) for name, items in self.exams.items()}


@contextmanager
def seated(
    config: EvalConfig,
    run: Run,
    recipe: Recipe,
    exams: Mapping[str, Sequence[ExamItem]],
    digests: Mapping[Role, str],
    policy: Policy,
) -> Iterator[Bench | None]:
    """Let every judge sit its exam; what they say until the end is kept for an interrupted run.

    Args:
        config: names the judges.
        run: says where their verdicts are kept.
        recipe: of the evidence.
        exams: by name; only open questions and tasks on documents are judged.
        digests: of the models, which may not judge themselves.
        policy: of which a condition may rest on judges.

    Yields:
        None where nothing is judged.

    Raises:
        ConfigError: nobody says which weights a judge has.
        InputError: a judge is gone, is another one now or one of the models, or a labelled pair
            is unusable.
        PolicyError: a condition rests on a judge that failed.
    """
    judged = {name: items for name, items in exams.items() if is_judged(items)}
    if not config.judges or config.generation is None or not judged:
        yield None
        return
    pairs = config.clinician_pairs
    labelled = {} if pairs is None else read_clinicians(pairs)
    place = hashlib.sha256(f"judges {recipe.sha256}".encode()).hexdigest()
    with run.registry.work(place, private=True) as work:
        state = State(work, run.registry.evidence_keys, recipe)
        judges = tuple(Judge(name, endpoint, state) for name, endpoint in config.judges.items())
        check_others([judge.identity for judge in judges], digests)
        spoken = sorted({one for items in judged.values() for one in _languages(items)})
        cards = tuple(
            sit(judge, language, labelled.get(language, ()))
            for judge in judges
            for language in spoken
        )
        bench = Bench(judges, cards, judged)
        _check_cards(bench, policy)
        yield bench


def judge_answers(bench: Bench, answered: Mapping[Role, Answered]) -> Judged:
    """Ask all judges for everything; an interrupted run goes on with the next piece.

    Raises:
        InputError: a judge is gone, or is another one now.
    """
    pairs = tuple(
        compare(bench.judges, name, items, answered, roles)
        for name, items in bench.exams.items()
        for roles in role_pairs(answered)
    )
    failures = tuple(
        look(bench.judges, name, items, answered, role)
        for name, items in bench.exams.items()
        for role in answered
    )
    return Judged(
        # After everything, as a server may say what it is only with its answers.
        judges=tuple(judge.identity for judge in bench.judges),
        cards=bench.cards, languages=bench.languages, pairs=pairs, failures=failures,
    )  # fmt: skip


def _check_cards(bench: Bench, policy: Policy) -> None:
    """Say who is advisory, and spend no look on a condition that could only stay open."""
    for card in bench.cards:
        if not card.passed:
            missed = ", ".join(part.part for part in card.parts if not part.holds)
            why = f"failed: {missed}" if missed else "no exam in this language"
            say(f"judge {card.judge.name} ({card.language}): advisory only - {why}")
    failed = {(card.judge.name, card.language) for card in bench.cards if not card.passed}
    for condition in policy.conditions:
        measure = MEASURES.get(condition.measure)
        if measure is None or measure.taken != "judge":
            continue
        of = set(bench.languages.get(condition.of, ()))
        missing = sorted(f"{name} ({language})" for name, language in failed if language in of)
        if missing:
            raise PolicyError(
                f"{condition.measure} on {condition.of} would rest on a judge that failed its own "
                f"exam: {', '.join(missing)} - no look was spent; plan with other judges, or with "
                "a policy without this condition"
            )


def check_others(judges: Sequence[JudgeIdentity], digests: Mapping[Role, str]) -> None:
    """See that no judge is one of the models or another judge.

    Raises:
        InputError: it is.
    """
    known: dict[str, str] = {digest: f"the {role} itself" for role, digest in digests.items()}
    for judge in judges:
        if judge.digest in known:
            raise InputError(
                f"judge {judge.name} is {known[judge.digest]} - let a model of another family judge"
            )
        known[judge.digest] = f"judge {judge.name} once more"


def _languages(items: Sequence[ExamItem]) -> tuple[str, ...]:
    return tuple(sorted({item.language.partition("-")[0] for item in items}))
