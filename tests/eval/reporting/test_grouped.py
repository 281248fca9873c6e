"""Subgroups in the report: the worst is named, a small one claims nothing."""

from __future__ import annotations

import json

import pytest

from bedside_eval.records import Subgroup
from bedside_eval.reporting.files import report_files
from bedside_eval.reporting.numerals import LANGUAGES, Language
from bedside_eval.reporting.view import view_of
from bedside_eval.statistics.estimate import Estimate
from tests.eval.reporting.conftest import build, estimate

SMALL = Estimate(estimate=-0.5, clusters=3, confidence=0.95, methods={})
GROUPS = (
    Subgroup(exam="questions", measure="accuracy", against="base", by="language", name="fr",
             items=3, gain=SMALL, p_worse=None),
    Subgroup(exam="questions", measure="accuracy", against="base", by="specialty",
             name="surgery", items=40, gain=estimate(-0.1, 0.02), p_worse=0.012),
    Subgroup(exam="questions", measure="accuracy", against="base", by="specialty",
             name="<b>cardiology", items=41, gain=estimate(0.2, 0.02), p_worse=1.0),
)  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_worst_group_with_information_is_named(language: Language) -> None:
    view = view_of(build(subgroups=GROUPS), language)
    (section,) = (s for s in view.sections if s.id == "subgroups")
    assert "surgery" in section.text[1] and "fr" not in section.text[1].split(":")[1].split()
    assert section.table is not None
    assert [row[4] for row in section.table.rows] == ["3", "40", "41"]
    assert section.table.rows[0][-1] == "–" and "012" in section.table.rows[1][-1]


def test_small_groups_alone_name_no_worst() -> None:
    view = view_of(build(subgroups=GROUPS[:1]), "en")
    (section,) = (s for s in view.sections if s.id == "subgroups")
    assert len(section.text) == 1


def test_page_and_data_hold_the_groups_and_a_name_is_no_markup() -> None:
    files = report_files(build(subgroups=GROUPS))
    page = files["report.en.html"].decode()
    assert "&lt;b&gt;cardiology" in page and "<b>cardiology" not in page
    assert len(json.loads(files["report.json"])["subgroups"]) == 3
