"""The passport of a corpus of dirty sources: right counts, no names, no text, the same bytes."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from lxml import html

from bedside_core.artifacts import Artifact
from bedside_core.registry.registry import Registry
from bedside_corpus.passport.content import IS_NOT, VERSION
from bedside_corpus.passport.files import CROISSANT, FUNNEL
from bedside_corpus.passport.page import page
from bedside_corpus.passport.pictures import funnel

SETTINGS: dict[str, Any] = {"phi": {}, "medical_filter": {"min_density": 0.03}}
FILES = ("passport.html", "passport.json", FUNNEL, CROISSANT)


def passport(corpus: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(corpus.file("passport.json").read_bytes())
    return found


def test_it_counts_what_happened(corpus: Artifact) -> None:
    said = passport(corpus)
    assert said["passport"] == VERSION
    assert (said["read"], said["documents"]) == (7, 3)
    steps = said["funnel"]
    expected = ["reading", "cleaning", "language", "medical_filter", "phi", "deduplicating"]
    assert [step["step"] for step in steps if step["step"] in expected] == expected
    for before, after in pairwise(steps):
        assert before["kept"] == after["read"]
    assert {name: one["records"] for step in steps for name, one in step["dropped"].items()} == {
        "malformed": 1,
        "heldout": 1,
        "phi": 1,
        "duplicate_text": 1,
    }
    letters, notes = said["sources"]
    assert letters["dropped"] == {"malformed": 1, "heldout": 1, "phi": 1, "duplicate_text": 1}
    assert (letters["read"], letters["documents"], notes["documents"]) == (6, 2, 1)
    assert said["licences"] == [
        {"licence": "CC-BY-4.0", "documents": 1, "obligations": ["attribution"]},
        {
            "licence": "CC-BY-SA-4.0",
            "documents": 1,
            "obligations": ["attribution", "share-alike"],
        },
        {"licence": "CC0-1.0", "documents": 1, "obligations": []},
    ]
    assert sum(one["documents"] for one in said["lengths"]) == 3
    assert said["languages"]["de"] == {"documents": 3, "words": said["words"]}
    assert said["personal_data"]["categories"]["NAME"] == 1
    (looked,) = said["held_out"]["sets"]
    assert (looked["set"], looked["asked"], looked["found"], looked["exact"]) == (
        "exam_texts", 2, 1, 1,
    )  # fmt: skip
    assert said["cleaning"]["changes"]["url"] == 2
    assert said["made_by"]["verb"] == "corpus build" and "pyarrow" in said["made_by"]


def test_it_holds_no_text_no_id_and_no_file_name(corpus: Artifact) -> None:
    for name in FILES:
        data = corpus.file(name).read_text(encoding="utf-8")
        for secret in ("Wiesengrund", "Meier", "Ramipril", "Garten", "Koloskopie"):
            assert secret not in data


def test_the_page_needs_nothing_and_says_the_same(corpus: Artifact) -> None:
    text = corpus.file("passport.html").read_text(encoding="utf-8")
    tree = html.fromstring(text)
    assert not tree.xpath("//script | //link | //img | //@href | //@src | //@onload")
    assert "@import" not in text and "url(" not in text
    shown = " ".join(tree.text_content().split())
    for said in (*IS_NOT, "says too much about a person", "Ward <3>", "exam_texts"):
        assert said in shown
    assert corpus.file(FUNNEL).read_text(encoding="utf-8") in text
    tables = {
        tuple(th.text_content() for th in table.xpath(".//th")): table
        for table in tree.xpath("//table")
    }
    rows = tables["licence", "documents", "obligations"].xpath(".//tr[td]")
    assert [cell.text_content() for cell in rows[0].xpath("td")] == [
        "CC-BY-4.0",
        "1",
        "attribution",
    ]


def test_the_bars_are_as_long_as_the_counts(corpus: Artifact) -> None:
    steps = passport(corpus)["funnel"]
    tree = ElementTree.fromstring(corpus.file(FUNNEL).read_bytes())
    bars = {kind: [] for kind in ("gone", "kept")}
    for bar in tree.iter("{http://www.w3.org/2000/svg}rect"):
        bars[bar.get("class", "")].append(float(bar.get("width", "0")))
    assert bars["gone"] == pytest.approx([440 * step["read"] / 7 for step in steps], abs=0.01)
    assert bars["kept"] == pytest.approx([440 * step["kept"] / 7 for step in steps], abs=0.01)


def test_equal_corpora_have_equal_passports(
    corpus: Artifact,
    build: Any,
    sources: list[dict[str, Any]],
    registry: Registry,
    held: Path,
) -> None:
    before = {name: corpus.file(name).read_bytes() for name in FILES}
    (corpus.path / "data/00000.parquet").unlink()  # a damaged artifact is made again
    settings = {**SETTINGS, "executor": {"workers": 2}, "heldout": [str(held)]}
    assert build(*sources, **settings) == 0
    again = registry.get("test/corpus")
    assert again.digest != corpus.digest
    assert {name: again.file(name).read_bytes() for name in FILES} == before


def test_what_a_source_is_called_is_no_markup() -> None:
    assert "<b>" not in funnel([{"step": "<b>", "read": 1, "kept": 1, "dropped": {}}])
    empty = {
        "purpose": "internal", "documents": 0, "words": 0, "read": 0, "tokens": {"<i>": 1},
        "funnel": [], "sources": [], "left_out": {}, "licences": [], "languages": {},
        "lengths": [], "cleaning": {"documents": 0}, "classifiers": {},
        "held_out": {"sets": [], "dropped": {}},
        "duplicates": {"duplicate_text": 0, "duplicate_near": 0}, "personal_data": None,
        "notes": {}, "is_not": [], "content_sha256": "", "recipe_sha256": "",
        "made_by": {"verb": "<script>"},
    }  # fmt: skip
    text = page(empty, "<u>")
    assert not any(f"<{tag}>" in text for tag in ("i", "script", "u"))
