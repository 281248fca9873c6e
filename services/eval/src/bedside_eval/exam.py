"""What the models are asked: held-out texts, and multiple-choice exams as JSON Lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText, read_heldout
from bedside_core.messages import sentence

PROMPT = "Frage: {question}\nAntwort:"
"""Every option follows this after one space."""
MIN_TEXTS = 8
"""Texts per held-out set; with fewer, no bootstrap interval keeps what its level promises."""


class ExamItem(BaseModel):
    """One question; its text goes to the models and nowhere else."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, str_strip_whitespace=True)

    id: str = Field(min_length=1, max_length=100)
    question: str = Field(min_length=1)
    options: list[str] = Field(min_length=4, max_length=4)
    answer: int = Field(ge=0, le=3)
    topic: str = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct_options(self) -> ExamItem:
        if not all(self.options) or len(set(self.options)) < len(self.options):
            raise ValueError("options must be four different, non-empty texts")
        return self

    @property
    def prompt(self) -> str:
        """What a model reads before an option."""
        return PROMPT.format(question=self.question)


class Paper(NamedTuple):
    """Everything that a model is asked: held-out sets and exams by name."""

    heldout: Mapping[str, Sequence[HeldoutText]]
    exams: Mapping[str, Sequence[ExamItem]]

    @property
    def texts(self) -> list[HeldoutText]:
        """All held-out texts."""
        return [text for texts in self.heldout.values() for text in texts]

    @property
    def num_requests(self) -> int:
        """Sequences to score, if no text needs a second window."""
        options = sum(len(item.options) for items in self.exams.values() for item in items)
        return len(self.texts) + options


def read_paper(heldout: Mapping[str, Path], exams: Mapping[str, Path]) -> Paper:
    """Read all held-out folders and exam files.

    Raises:
        InputError: a file is unusable, or a held-out set has too few texts.
    """
    paper = Paper(
        {name: read_heldout(folder) for name, folder in heldout.items()},
        {name: read_exam(path) for name, path in exams.items()},
    )
    for name, texts in paper.heldout.items():
        if len(texts) < MIN_TEXTS:
            raise InputError(
                f"{heldout[name]}: {len(texts)} text(s) - an interval needs at least {MIN_TEXTS}; "
                "add more"
            )
    return paper


def read_exam(path: Path) -> list[ExamItem]:
    """Read an exam in the order of its lines; blank lines are skipped.

    Raises:
        InputError: unreadable, not UTF-8, no items, or a line that is no valid item; the message
            names file and line and never quotes the item.
    """
    items: list[ExamItem] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        item = _parse(line, f"{path}, line {number}")
        if item.id in seen:
            raise InputError(
                f"{path}, line {number}: the id of line {seen[item.id]} again - every item needs "
                "an id of its own"
            )
        seen[item.id] = number
        items.append(item)
    if not items:
        raise InputError(f"{path}: no items - an exam has one JSON object per line")
    return items


def _lines(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 - convert it, for example with iconv") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _parse(line: str, where: str) -> ExamItem:
    try:
        return ExamItem.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        # Only our own names: an unknown key may be anything that stood in the file.
        field = next((f"{x}: " for x in problem["loc"][:1] if x in ExamItem.model_fields), "")
        raise InputError(
            f"{where}: {field}{sentence(problem, ExamItem)} - an item has id, question, four "
            "options, answer (0 to 3) and topic"
        ) from None
