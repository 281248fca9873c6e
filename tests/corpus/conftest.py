"""A registry of its own and short ways to write sources and to run `bedside corpus build`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedside_core.cli import main
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry

Build = Callable[..., int]

LETTER = "Der Patient erhält Ramipril 5 mg bei Hypertonie; Kreatinin 1,2 mg/dl, EKG unauffällig."
REPORT = "Die Koloskopie zeigt eine Kolitis; Therapie mit Budesonid, Biopsie aus dem Dünndarm."
RECIPE = "Den Teig eine Stunde ruhen lassen und bei mittlerer Hitze goldbraun backen."


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    registry = Registry(tmp_path / "home")
    found(registry)
    return registry


@pytest.fixture
def build(tmp_path: Path, registry: Registry) -> Build:
    """Run the verb on sources given as dictionaries; returns the exit code."""

    def run(*sources: dict[str, Any], **settings: object) -> int:
        corpus = {"language": "de", "sources": list(sources), **settings}
        config = tmp_path / "run.yaml"
        config.write_text(yaml.safe_dump({"name": "test", "corpus": corpus}))
        return main(["corpus", "build", "--config", str(config)])

    return run


@pytest.fixture
def letters(tmp_path: Path) -> dict[str, Any]:
    """A source of two medical texts."""
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "a.txt").write_text(LETTER)
    (folder / "b.txt").write_text(REPORT)
    return {"name": "letters", "path": str(folder), "format": "text", "licence": "CC0-1.0",
            "personal_data": "none"}  # fmt: skip
