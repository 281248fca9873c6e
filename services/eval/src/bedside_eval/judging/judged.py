"""Every judge sits its exam, and then judges all models' answers; see the parts for how.

Tested in tests/eval/judging/test_judged.py.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bedside_core.console import say
from bedside_core.endpoint.config import EndpointConfig
from bedside_core.errors import InputError
from bedside_core.kinds.exam import ExamItem
from bedside_eval.answering.answers import Answered
from bedside_eval.judging.asking import Judge, identify
from bedside_eval.judging.card import sit
from bedside_eval.judging.clinicians import read_clinicians
from bedside_eval.judging.failures import look
from bedside_eval.judging.pairs import compare, is_judged, role_pairs
from bedside_eval.judging.records import Judged, JudgeIdentity
from bedside_eval.records import Role
from bedside_eval.state import State


def judge_answers(
    judges: Mapping[str, EndpointConfig],
    clinicians: Path | None,
    exams: Mapping[str, Sequence[ExamItem]],
    answered: Mapping[Role, Answered],
    digests: Mapping[Role, str],
    state: State,
) -> Judged | None:
    """Ask all judges for everything; an interrupted run goes on with the next piece.

    Args:
        judges: by name.
        clinicians: pairs that a house's clinicians have labelled.
        exams: by name; only open questions and tasks on documents are judged.
        answered: by model.
        digests: of the models, which may not judge themselves.
        state: keeps the verdicts.

    Returns:
        None where no exam is judged.

    Raises:
        ConfigError: nobody says which weights a judge has.
        InputError: a judge is gone, is another one now or one of the models, or a labelled pair
            is unusable.
    """
    judged = {name: items for name, items in exams.items() if is_judged(items)}
    if not judges or not judged:
        return None
    labelled = read_clinicians(clinicians) if clinicians is not None else {}
    asked = [Judge(name, config, state) for name, config in judges.items()]
    check_others([judge.identity for judge in asked], digests)
    languages = {name: _languages(items) for name, items in judged.items()}
    cards = tuple(
        sit(judge, language, labelled.get(language, ()))
        for judge in asked
        for language in sorted({one for found in languages.values() for one in found})
    )
    for card in cards:
        missed = ", ".join(part.part for part in card.parts if not part.holds)
        if not card.passed:
            why = f"failed: {missed}" if missed else "no exam in this language"
            say(f"judge {card.judge.name} ({card.language}): advisory only - {why}")
    pairs = tuple(
        compare(asked, name, items, answered, roles)
        for name, items in judged.items()
        for roles in role_pairs(answered)
    )
    failures = tuple(
        look(asked, name, items, answered, role)
        for name, items in judged.items()
        for role in answered
    )
    return Judged(
        # After everything, as a server may say what it is only with its answers.
        judges=tuple(judge.identity for judge in asked),
        cards=cards, languages=languages, pairs=pairs, failures=failures,
    )  # fmt: skip


def check_judges(judges: Mapping[str, EndpointConfig], digests: Mapping[Role, str]) -> None:
    """See, before a look is spent, that every judge is there and is nobody else.

    Raises:
        ConfigError: nobody says which weights a judge has.
        InputError: a judge is not there, or is one of the models.
    """
    with tempfile.TemporaryDirectory(prefix="bedside-judges-") as folder:
        found = [asyncio.run(identify(n, c, Path(folder))) for n, c in judges.items()]
    check_others(found, digests)


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
