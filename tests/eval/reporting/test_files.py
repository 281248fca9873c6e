"""All files of the report: stable bytes, nothing from outside, nothing that runs."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
import typst
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_eval.config import House
from bedside_eval.evidence import Evidence
from bedside_eval.reporting.files import badges, cell, report_files
from bedside_eval.reporting.numerals import LANGUAGES, Language
from bedside_eval.reporting.page import html
from bedside_eval.reporting.pdf import inputs, pdf
from bedside_eval.reporting.text import plain
from bedside_eval.reporting.view import view_of
from tests.eval.reporting.conftest import build

SECTIONS = ("reasons", "forest", "ladder", "failures", "calibration", "subgroups", "contamination",
            "identities", "limits")  # fmt: skip
HASHES = """
import hashlib
from bedside_eval.reporting.files import report_files
from tests.eval.reporting.conftest import build
for name, content in sorted(report_files(build()).items()):
    print(name, hashlib.sha256(content).hexdigest())
"""


def test_the_same_bytes_anywhere(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    here = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root)}
    kinds = [({"TZ": "UTC"}, root), ({"TZ": "Asia/Tokyo", "LC_ALL": "C", "HOME": "/"}, tmp_path)]
    told = [
        subprocess.run(
            [sys.executable, "-c", HASHES], env=here | env, cwd=cwd, check=True,
            capture_output=True, text=True,
        ).stdout
        for env, cwd in kinds
    ]  # fmt: skip
    assert told[0] == told[1]
    assert len(told[0].splitlines()) == 8


def test_every_section_is_there_and_says_why_it_is_empty(evidence: Evidence) -> None:
    for changes in ({}, {"verdict": "SAME_MODEL", "models": {}, "differences": (), "findings": ()}):
        view = view_of(build(**changes), "fr")
        assert tuple(section.id for section in view.sections) == SECTIONS
        assert all(section.text or section.table for section in view.sections)
    assert "Nicht gemessen" in plain(view_of(evidence, "de"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_summary_is_one_page(language: Language) -> None:
    view = view_of(build(verdict="NOT_ENOUGH_EVIDENCE", scope="demo"), language)
    source = files("bedside_eval.reporting").joinpath("report.typ").read_bytes()
    drawing = {"forest": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'}
    found = typst.query(
        source, "<summary>", field="value", one=True, ignore_system_fonts=True,
        sys_inputs=inputs(view, drawing),
    )  # fmt: skip
    assert json.loads(found) == 1


def test_a_page_needs_nothing_from_elsewhere(evidence: Evidence) -> None:
    page = report_files(evidence)["report.de.html"].decode()
    assert "default-src 'none'" in page
    for word in ("<script", "src=", "@import", "url(http", "<link", "onload"):
        assert word not in page
    assert "Klinik Übersee" in page


class Reader(HTMLParser):
    """What a browser would show as text, and which tags it would see."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags = "", set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@settings(max_examples=30, deadline=None)
@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=60))
def test_a_name_is_text_in_html(name: str) -> None:
    view = view_of(build(house=House(name=name)), "en")
    reader = Reader()
    reader.feed(html(view, {"forest": "<svg></svg>"}))
    assert name in reader.text
    assert reader.tags <= {
        "html", "head", "meta", "title", "style", "body", "main", "div", "h1", "h2", "dl", "dt",
        "dd", "p", "strong", "code", "section", "figure", "svg", "table", "thead", "tbody", "tr",
        "th", "td",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["#panic()", "*a* _b_ $x$ #set", '"); #import "x"', "<a> @b \\"])
def test_a_name_is_text_in_the_pdf(name: str) -> None:
    view = view_of(build(house=House(name=name), differences=()), "de")
    assert pdf(view, {}).startswith(b"%PDF-")


@given(st.text(max_size=20), st.floats(allow_nan=False))
def test_no_cell_is_a_formula(text: str, value: float) -> None:
    shown = cell(text)
    assert isinstance(shown, str)
    assert not shown.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell(value) == value


def test_numbers_for_machines(evidence: Evidence) -> None:
    found = report_files(evidence)
    rows = list(csv.DictReader(io.StringIO(found["results.csv"].decode())))
    assert len(rows) == 8
    assert {row["measure"] for row in rows} == {"likelihood", "accuracy", "accuracy_norm", "brier"}
    content = json.loads(found["report.json"])
    gain = content["gains"][0]
    assert (gain["measure"], gain["gain"]["estimate"], gain["margin"]) == ("likelihood", 0.05, 0.01)


def test_badges() -> None:
    assert badges(build())["de"] == "Besser als sein Ausgangsmodell"
    assert badges(build(scope="demo"))["en"] == "Demonstration only"
    assert badges(build(verdict="REJECT"))["fr"] == "Non évalué"
