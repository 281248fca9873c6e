"""What judges said is in the report, and a judge that failed its exam is advisory in it."""

from __future__ import annotations

import json

import pytest

from bedside_eval.evidence import Evidence
from bedside_eval.judging.records import (
    FailureChange,
    JudgeCard,
    Judged,
    JudgedPair,
    JudgeIdentity,
    Judging,
    Ladder,
    PartResult,
    Rung,
    WinRate,
)
from bedside_eval.reporting.files import report_files
from bedside_eval.reporting.numerals import LANGUAGES, Language
from bedside_eval.reporting.view import view_of
from tests.eval.reporting.conftest import build, estimate

JUDGE = JudgeIdentity(name="zweites", model="judge", digest="e" * 64, said=True)


def judged(passed: int) -> Evidence:
    """Evidence whose judge passed so many of its thirty pairs of one part."""
    part = PartResult(part="dose", passed=passed, of=30, unjudged=0, limit=passed / 30 - 0.05,
                      threshold=0.8)  # fmt: skip
    card = JudgeCard(judge=JUDGE, language="de", version=1, questions="", parts=(part,))
    pair = JudgedPair(
        exam="open", first="candidate", second="base", forward={"zweites": ("A", "0")},
        backward={"zweites": ("B", "!")}, longer=(3, -1),
    )  # fmt: skip
    whole = Judged(judges=(JUDGE,), cards=(card,), languages={"open": ("de",)}, pairs=(pair,))
    rate = WinRate(
        exam="open", first="candidate", second="base", wins=1, ties=1, losses=0,
        raw=estimate(0.75, 0.2), controlled=estimate(0.625, 0.2), slope=0.1,
        order_consistent=1.0, first_position=0.5, kappa={}, invalid=1, unanswered=0, verdicts=4,
    )  # fmt: skip
    missing = whole.advisory("open")
    return build(
        judging=Judging(
            judged=whole,
            win_rates=(rate,),
            ladders=(
                Ladder(
                    exam="open",
                    rungs=(
                        Rung(role="candidate", strength=estimate(0.55, 0.3)),
                        Rung(role="base", strength=estimate(-0.55, 0.3)),
                    ),
                ),
            ),
            failures=(
                FailureChange(
                    exam="open", mode="omission", first="candidate", second="base",
                    shares=(0.25, 0.5), change=estimate(-0.25, 0.1),
                ),
            ),
            advisory={"open": missing} if missing else {},
        )
    )  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_ladder_preferences_judges_and_failures_are_shown(language: Language) -> None:
    view = view_of(judged(30), language)
    found = {section.id: section for section in view.sections}
    ladder, preferences = found["ladder"].table, found["preferences"].table
    assert ladder is not None and preferences is not None
    assert [row[0] for row in ladder.rows] == [ladder.rows[0][0]] * 2
    assert "75" in preferences.rows[0][2] and preferences.rows[0][-1] == "1 / 1 / 0"
    judges, failures = found["judges"].table, found["failures"].table
    assert judges is not None and judges.rows[0][-1] == JUDGE.digest
    assert failures is not None and found["failures"].figure == "failures"
    # One direction: that a failure is rarer stands to the right.
    assert failures.rows[0][3].startswith("+25")
    assert not any("zweites" in text for section in view.sections for text in section.text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_judge_that_failed_is_advisory_wherever_it_is_shown(language: Language) -> None:
    view = view_of(judged(20), language)
    found = {section.id: section for section in view.sections}
    for name in ("ladder", "preferences", "failures"):
        assert any("zweites (de)" in text for text in found[name].text)
    judges = found["judges"].table
    assert judges is not None and "dose" in judges.rows[0][2]


def test_pages_papers_and_data_hold_what_was_judged() -> None:
    files = report_files(judged(20))
    page = files["report.de.html"].decode()
    assert page.count("<figure") == 2 and "zweites" in page
    assert files["report.fr.pdf"].startswith(b"%PDF")
    data = json.loads(files["report.json"])["judging"]
    assert data["win_rates"][0]["wins"] == 1 and data["advisory"] == {"open": ["zweites (de)"]}
    assert files == report_files(judged(20))
