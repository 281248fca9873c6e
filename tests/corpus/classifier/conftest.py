"""Labelled sets that are invented: clinical phrases against those of a cookery book."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from bedside_core.cli import main
from bedside_core.registry.registry import Registry

CLINICAL = (
    "Der Patient erhält Ramipril 5 mg bei Hypertonie", "Kreatinin 1,2 mg/dl, EKG unauffällig",
    "Koloskopie mit Biopsie des Dünndarms", "Therapie mit Budesonid und Mesalazin",
    "Röntgen Thorax ohne Erguss", "stationäre Aufnahme wegen Dyspnoe", "Sepsis, Antibiose begonnen",
)  # fmt: skip
KITCHEN = (
    "Den Teig eine Stunde ruhen lassen", "bei mittlerer Hitze goldbraun backen",
    "Zwiebeln würfeln und in Butter anschwitzen", "mit Petersilie bestreuen und servieren",
    "den Ofen auf 180 Grad vorheizen", "Mehl und Zucker vermengen", "die Sahne steif schlagen",
)  # fmt: skip


def sentences(phrases: tuple[str, ...], number: int, random: random.Random) -> list[str]:
    return [". ".join(random.choices(phrases, k=5)) + f" ({n})." for n in range(number)]


@pytest.fixture(scope="session")
def texts() -> Callable[[int, int], tuple[list[str], list[bool]]]:
    """So many clinical texts, then so many others, with their labels."""

    def draw(yes: int, no: int) -> tuple[list[str], list[bool]]:
        drawn = random.Random(2)
        found = sentences(CLINICAL, yes, drawn) + sentences(KITCHEN, no, drawn)
        return found, [n < yes for n in range(yes + no)]

    return draw


@pytest.fixture
def labelled(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder of labels; each part is (number of yes, number of no)."""

    def write(
        train: tuple[int, int] = (60, 60), test: tuple[int, int] = (40, 80), **more: Any
    ) -> Path:
        folder = tmp_path / "labels"
        folder.mkdir(exist_ok=True)
        drawn = random.Random(1)
        for part, (yes, no) in (("train", train), ("test", test)):
            texts = sentences(CLINICAL, yes, drawn) + sentences(KITCHEN, no, drawn)
            columns: dict[str, Any] = {
                "id": [f"{part}-{n}" for n in range(yes + no)],
                "text": texts,
                "label": [n < yes for n in range(yes + no)],
                **{name: make(part, yes, no) for name, make in more.items()},
            }
            pq.write_table(pa.table(columns), folder / f"{part}.parquet")
        return folder

    return write


@pytest.fixture
def house(
    tmp_path: Path, registry: Registry, labelled: Callable[..., Path], texts: Callable[..., Any]
) -> Any:
    """A registry with a trained classifier (run `c`), and a source of 30 texts of each kind."""
    folder = tmp_path / "crawl"
    folder.mkdir()
    documents, labels = texts(30, 30)
    for part in range(3):
        rows = range(part, 60, 3)
        lines = [
            json.dumps({"id": f"{'m' if labels[n] else 'k'}{n}", "text": documents[n]})
            for n in rows
        ]
        (folder / f"{part}.jsonl").write_text("\n".join(lines))

    def run(verb: str, name: str, **corpus: Any) -> int:
        config = tmp_path / f"{name}.yaml"
        config.write_text(yaml.safe_dump({"name": name, "corpus": corpus}))
        return main(["corpus", verb, "--config", str(config)])

    sources = [{"name": "crawl", "path": str(folder), "format": "jsonl",
                    "licence": "ODC-By-1.0", "personal_data": "none"}]  # fmt: skip
    section = {"labels": str(labelled()), "prevalence": 0.2, "target_precision": 0.7}
    assert run("train-classifier", "c", train_classifier=section) == 0

    def build(name: str, **corpus: Any) -> int:
        if "existing" not in corpus:
            corpus = {"language": "de", "language_threshold": None, "sources": sources, **corpus}
        return run("build", name, **{"executor": {"workers": 1}, **corpus})

    build.run = run  # type: ignore[attr-defined]
    return build
