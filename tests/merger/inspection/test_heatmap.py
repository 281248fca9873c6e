"""The picture is well-formed, complete and needs nothing from elsewhere."""

from __future__ import annotations

from xml.etree import ElementTree

from bedside_merger.inspection.angles import Angle
from bedside_merger.inspection.heatmap import heatmap

FOUND = [
    Angle("model.embed_tokens.weight", 8, 1.0, 0.0),
    Angle("model.layers.0.mlp.up.weight", 8, 0.9999, 0.014),
    Angle("model.layers.1.mlp.up.weight", 8, 0.9, 0.4),
    Angle("model.layers.1.<odd>", 8, 0.99999, 0.004),
]


def test_every_tensor_has_a_cell_that_says_its_numbers() -> None:
    root = ElementTree.fromstring(heatmap(FOUND))
    titles = [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}title")]
    assert {title.split(":")[0] for title in titles} == {item.name for item in FOUND}
    assert any("25.842 degrees, spherical, change 40.000%" in title for title in titles)
    fills = [node.get("fill") for node in root.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert fills[0] == "rgb(255,255,255)"  # not moved
    assert fills[2] == "rgb(255,0,0)"  # the largest angle, spherical
    assert "http" not in heatmap(FOUND).replace("http://www.w3.org/2000/svg", "")


def test_nothing_moved() -> None:
    assert "rgb(255,255,255)" in heatmap(FOUND[:1])
