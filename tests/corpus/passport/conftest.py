"""A corpus of dirty sources whose files and ids bear names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedside_core.artifacts import Artifact
from bedside_core.registry.registry import Registry

LETTER = "Der Patient erhält Ramipril 5 mg bei Hypertonie; siehe https://example.org/leitlinie"
NAMED = "Herr Wiesengrund, geb. 3.4.1950, erhält Ramipril 5 mg bei Hypertonie; EKG unauffällig."
GARDEN = "Der Garten liegt hinter dem Haus und ist im Mai am schönsten."


SETTINGS: dict[str, Any] = {"phi": {}, "medical_filter": {"min_density": 0.03}}


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A held-out set; one of its texts is the garden, which stands in a source."""
    folder = tmp_path / "exam_texts"
    folder.mkdir()
    (folder / "Wiesengrund.txt").write_text(GARDEN)
    (folder / "other.txt").write_text("Nach der Operation war der Verlauf ohne Besonderheiten.")
    return folder


@pytest.fixture
def sources(tmp_path: Path) -> list[dict[str, Any]]:
    """Six records in one file, one in another."""
    lines: list[Any] = [
        {"id": "Meier-Anna", "text": LETTER},
        {"text": LETTER, "licence": "CC-BY-SA-4.0"},
        {"text": "Kreatinin 1,2 mg/dl, Dialyse, Budesonid <b>fett</b>", "licence": "CC-BY-SA-4.0"},
        {"text": GARDEN},
        {"text": NAMED},
    ]
    raw = [*map(json.dumps, lines), "{"]
    (tmp_path / "Wiesengrund.jsonl").write_text("\n".join(raw))
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "Wiesengrund.txt").write_text("Die Koloskopie zeigt eine Kolitis; Biopsie folgt.")
    first = {
        "name": "letters",
        "path": str(tmp_path / "Wiesengrund.jsonl"),
        "format": "jsonl",
        "licence": "CC-BY-4.0",
        "attribution": "Ward <3>",
        "type": "letter",
        "personal_data": "pseudonymised",
    }
    second = {"name": "notes", "path": str(folder), "format": "text", "personal_data": "none"}
    return [first, {**second, "licence": "CC0-1.0"}]


@pytest.fixture
def corpus(build: Any, sources: list[dict[str, Any]], registry: Registry, held: Path) -> Artifact:
    """Three documents are kept."""
    assert build(*sources, **SETTINGS, heldout=[str(held)]) == 0
    return registry.get("test/corpus")
