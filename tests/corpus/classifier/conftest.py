"""Labelled sets that are invented: clinical phrases against those of a cookery book."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
