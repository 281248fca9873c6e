"""Judges look for the failures of one answer that no program finds (DeFineMed, appendix A.7.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bedside_core.kinds.exam import ExamItem
from bedside_eval.answering.answers import Answered
from bedside_eval.judging.asking import Judge
from bedside_eval.judging.pairs import text_of
from bedside_eval.judging.questions import MODES, failures_body, read_failures
from bedside_eval.judging.records import JudgedFailures
from bedside_eval.records import Role

UNKNOWN = 0.5
"""Of a judge who gives no verdict."""


def look(
    judges: Sequence[Judge],
    exam: str,
    items: Sequence[ExamItem],
    answered: Mapping[Role, Answered],
    role: Role,
) -> JudgedFailures:
    """Let every judge look for failures in one model's answers to an exam.

    Raises:
        InputError: a judge is gone, or is another one now.
    """
    texts = [text_of(answer) for answer in answered[role][exam, "generated"]]
    bodies = [
        failures_body(item.question, item.context, text)
        for item, text in zip(items, texts, strict=True)
        if text
    ]
    seen: list[list[list[float]]] = []
    unjudged = 0
    for judge in judges:
        replies = judge.ask(f"failures/{exam}/{role}", bodies, read_failures)
        unjudged += sum(reply.became != "verdict" for reply in replies)
        found = iter(
            [float(value) for value in reply.value]
            if reply.became == "verdict"
            else [UNKNOWN] * len(MODES)
            for reply in replies
        )
        seen.append([next(found) if text else [1.0] * len(MODES) for text in texts])
    return JudgedFailures(
        exam=exam, role=role, unjudged=unjudged, of=len(bodies) * len(judges),
        values={
            mode: tuple(
                sum(by_judge[item][number] for by_judge in seen) / len(seen)
                for item in range(len(texts))
            )
            for number, mode in enumerate(MODES)
        },
    )  # fmt: skip
