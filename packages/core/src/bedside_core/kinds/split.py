"""A `split` artifact: the seal of held-out sets that were drawn from a corpus's sources.

The sets themselves lie outside the registry, since every training step reads the registry and no
sealed text may be there. The artifact has no files: its facts name each set's file with its hash,
so that a set that was changed since is noticed.

Tested in tests/corpus/splitting/test_verb.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bedside_core.artifacts import Artifact
from bedside_core.errors import InputError
from bedside_core.files import sha256_file

if TYPE_CHECKING:
    from bedside_core.registry.registry import Registry

SLOT: Literal["split"] = "split"


def sealed_sets(artifact: Artifact) -> dict[str, dict[str, Any]]:
    """What is sealed of each set, by the name of its file: its `sha256`, and what is in it."""
    found: dict[str, dict[str, Any]] = artifact.manifest.facts["sets"]
    return found


def check_seal(registry: Registry, run: str, path: Path) -> None:
    """See that a held-out set is as it was drawn, if this run has drawn it.

    Raises:
        InputError: it was changed, or is gone.
    """
    digest = registry.slot(run, SLOT)
    sealed = sealed_sets(registry.get(digest)).get(path.name) if digest is not None else None
    if sealed is None:
        return
    if not path.is_file():
        raise InputError(
            f"{path} is gone - restore it from a backup, or run `bedside corpus split` again: with "
            "the same sources it is the same set"
        )
    if sha256_file(path) != sealed["sha256"]:
        raise InputError(
            f"{path} was changed after it was drawn (`bedside corpus split`) - restore it from a "
            "backup, or draw a new one with corpus.split.draw"
        )
