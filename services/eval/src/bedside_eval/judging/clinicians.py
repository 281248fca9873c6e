"""Pairs of answers that a house's clinicians have labelled, for a judge to be compared with.

One JSON object per line: `id`, `language`, `question`, `a`, `b`, `winner` ("A", "B" or "0"), and
`context` where there is one. The file holds what clinicians wrote or read: keep it where only the
evaluation reads it. Nothing of it is kept but counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bedside_core.errors import InputError

MIN_PAIRS = 20
"""Of a language; with fewer, agreement says nothing."""


class ClinicianPair(BaseModel):
    """Two answers, and which one clinicians prefer."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    id: str = Field(min_length=1, max_length=100)
    language: str
    question: str = Field(min_length=1, repr=False)
    context: str = Field(default="", repr=False)
    a: str = Field(min_length=1, repr=False)
    b: str = Field(min_length=1, repr=False)
    winner: Literal["A", "B", "0"]


def read_clinicians(path: Path) -> dict[str, Sequence[ClinicianPair]]:
    """The pairs by language.

    Raises:
        InputError: names file and line of what is no pair, is there twice, or is too little.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path}: cannot be read as UTF-8 text - mend the path") from None
    found: dict[str, list[ClinicianPair]] = {}
    ids = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            pair = ClinicianPair.model_validate_json(line)
        except ValidationError as error:
            fields = ", ".join(
                sorted({str(e["loc"][0]) if e["loc"] else "JSON" for e in error.errors()})
            )
            raise InputError(f"{path}, line {number}: wrong or missing: {fields}") from None
        if pair.id in ids:
            raise InputError(f"{path}, line {number}: id {pair.id} is there twice")
        ids.add(pair.id)
        found.setdefault(pair.language, []).append(pair)
    for language, pairs in found.items():
        if len(pairs) < MIN_PAIRS:
            raise InputError(
                f"{path}: {len(pairs)} pairs in {language} - label {MIN_PAIRS} or more"
            )
    return dict(found)
