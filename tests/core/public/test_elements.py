"""The table of minimum elements, and how a place in a BOM is looked up."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bedside_core.public.elements import ELEMENTS, has, says

DOCS = Path(__file__).parents[3] / "docs" / "public-formats.md"


def test_fifty_elements_in_seven_clusters():
    clusters = Counter(element.number.split("-")[0] for element in ELEMENTS)
    wanted = {"MD": 10, "SLP": 9, "MDL": 13, "DP": 10, "INF": 2, "SP": 4, "KPI": 2}
    assert clusters == wanted
    assert len({element.number for element in ELEMENTS}) == 50


def test_the_documentation_has_the_same_table():
    text = DOCS.read_text(encoding="utf-8")
    for element in ELEMENTS:
        why = f" (else: {element.absent})" if element.absent else ""
        assert f"| {element.number} | {element.name} | `{element.place}`{why} |" in text


@pytest.mark.parametrize(
    ("place", "there"),
    [
        ("a", True), ("b", False), ("missing", False), ("list/0/name", True), ("list/2", False),
        ("list/x/deep", True), ("list/ref-y/name", True), ("list/z", False), ("a/b", False),
        ("list/type=t/name", True), ("list/type=t/deep", False), ("list/type=u/name", False),
    ],
)  # fmt: skip
def test_places(place, there):
    bom = {
        "a": 1,
        "b": [],
        "list": [{"name": "x", "deep": 1, "type": "t"}, {"ref": "ref-y", "name": "y", "type": "t"}],
    }
    assert has(bom, place.split("/")) is there


def test_an_empty_bom_lacks_everything():
    assert all(": absent, " in row["value"] for row in says({}))
