"""What the models are asked: held-out texts, and exams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText, read_heldout
from bedside_core.kinds.exam import ChoiceItem, ExamItem, read_exam

MIN_TEXTS = 8
"""Texts per held-out set; with fewer, no bootstrap interval keeps what its level promises."""


class Part(NamedTuple):
    """A held-out set or an exam."""

    kind: Literal["heldout", "exam"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Paper(NamedTuple):
    """Everything that a model is asked: held-out sets and exams by name."""

    heldout: Mapping[str, Sequence[HeldoutText]]
    exams: Mapping[str, Sequence[ExamItem]]

    @property
    def texts(self) -> list[HeldoutText]:
        """All held-out texts."""
        return [text for texts in self.heldout.values() for text in texts]

    @property
    def choices(self) -> dict[str, list[ChoiceItem]]:
        """The exams whose items have options, and so a likelihood of each."""
        return {
            name: found
            for name, items in self.exams.items()
            if (found := [item for item in items if isinstance(item, ChoiceItem)])
        }

    @property
    def parts(self) -> list[Part]:
        """The sets and exams that are measured by likelihood."""
        heldout = [Part("heldout", name) for name in self.heldout]
        return heldout + [Part("exam", name) for name in self.choices]


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
