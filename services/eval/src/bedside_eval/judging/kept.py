"""What models wrote, kept after a run because the config asks for it (`eval.keep_answers`).

It lies beside the private evidence key, under the evaluation's MAC, one folder for each run's
recipe; whoever removes the folder removes every copy that Bedside has.

Tested in tests/eval/judging/test_forms.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from bedside_core.artifacts import Recipe
from bedside_core.console import say
from bedside_core.files import disk_errors
from bedside_core.registry.registry import Registry
from bedside_eval.answering.answers import PIECE, Answer, Answered
from bedside_eval.state import State

FOLDER = "answers"


def folder_of(registry: Registry, recipe: Recipe) -> Path:
    """Where one run's answers are kept."""
    return registry.evidence_keys.private_path.parent / FOLDER / recipe.sha256[:16]


def keep(registry: Registry, recipe: Recipe, answered: Mapping[str, Answered]) -> None:
    """Keep the free answers to every exam, by the models' digests.

    Raises:
        ArtifactError: the disk is full.
    """
    folder = folder_of(registry, recipe)
    with disk_errors("answers"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = State(folder, registry.evidence_keys, recipe)
    for digest, by_exam in answered.items():
        for (exam, mode), answers in by_exam.items():
            if mode == "generated":
                state.save(digest, f"kept/{exam}", mode, PIECE.dump_json(answers))
    say(f"{folder}: what the models wrote is kept here; it may be about patients - remove it when "
        "no blind form is needed any more")  # fmt: skip


def kept(registry: Registry, recipe: Recipe, digest: str, exam: str) -> tuple[Answer, ...] | None:
    """One model's answers to an exam; None if they were not kept."""
    state = State(folder_of(registry, recipe), registry.evidence_keys, recipe)
    raw = state.load(digest, f"kept/{exam}", "generated")
    if raw is not None:
        with suppress(ValidationError):
            return PIECE.validate_json(raw)
    return None
