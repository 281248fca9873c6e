"""The annotated letters of GraSCCo, in a development half and a held half.

Rules were written by looking at the development half; texts of the held half are only counted on.
The split was fixed and committed before the first rule. Letters that are versions of each other
(`Colon_Fake_B` and `_D`) stay on one side, or the held half would be half seen.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LETTERS = Path("../shared/data/grascco/letters.jsonl")
"""Not part of the product: CC0 texts (Zenodo 6539131) with the annotations of redakt-grascco."""

Half = Literal["development", "held"]


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter and its annotated spans `(begin, end, label)`, in characters."""

    name: str
    text: str
    spans: tuple[tuple[int, int, str], ...]


def family(name: str) -> str:
    """The part of a file name that versions of one letter share: `Tupolev` of `Tupolev_3.txt`."""
    return re.sub(r"_(?:\d+|[A-Z])$", "", name.removesuffix(".txt"))


def halves(names: list[str]) -> dict[str, Half]:
    """Families in the order of the SHA-256 of their names, until half of the letters is reached."""
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(family(name), []).append(name)
    side: dict[str, Half] = {}
    for one in sorted(families, key=lambda f: hashlib.sha256(f.encode()).hexdigest()):
        half: Half = "development" if 2 * len(side) < len(names) else "held"
        side |= dict.fromkeys(families[one], half)
    return side


def read(half: Half, path: Path = LETTERS) -> list[Letter]:
    """The annotated letters of one half, in the file's order."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    records = [record for record in records if "phi" in record]
    side = halves([record["id"] for record in records])
    return [
        Letter(
            record["id"],
            record["text"],
            tuple((span["begin"], span["end"], span["label"]) for span in record["phi"]),
        )
        for record in records
        if side[record["id"]] == half
    ]


def read_marked(path: Path) -> Letter:
    """A letter that we invented, with its spans marked as `[[NAME:Anna Muster]]`."""
    pieces, spans, at = [], [], 0
    for index, piece in enumerate(re.split(r"\[\[([A-Z]+):(.*?)\]\]", path.read_text("utf-8"))):
        if index % 3 == 1:
            label = piece
            continue
        if index % 3 == 2:
            spans.append((at, at + len(piece), label))
        pieces.append(piece)
        at += len(piece)
    return Letter(path.name, "".join(pieces), tuple(spans))
