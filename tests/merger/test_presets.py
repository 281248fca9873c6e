"""The presets, and every merge that the page for users shows."""

from __future__ import annotations

import re
from typing import get_args

import yaml

from bedside_core.config import load_section
from bedside_merger.config import MergerConfig
from bedside_merger.presets import PRESETS, PresetName

WRITTEN_OUT = 2
"""Sections of the page that are DeFineMed's schedule."""


def test_the_page_shows_what_runs(root):
    page = (root / "docs" / "merging.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    sections = [load_section(MergerConfig, yaml.safe_load(block), "merger") for block in blocks]
    assert len(sections) == 5
    for section in sections[:WRITTEN_OUT]:
        *filters, rest = section.merge.parameters["t"]
        assert [list(item["value"]) for item in filters] == [
            [0, 0.5, 0.3, 0.7, 1], [1, 0.5, 0.7, 0.3, 0],
        ]  # fmt: skip
        assert rest == {"value": 0.5}
    assert sections[-1].search is not None
    for name in PRESETS:
        assert f"| `{name}` |" in page


def test_the_default_is_definemed() -> None:
    assert set(PRESETS) == set(get_args(PresetName))
    assert MergerConfig().merge == PRESETS["definemed"]
