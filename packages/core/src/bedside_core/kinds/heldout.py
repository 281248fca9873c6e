"""A `heldout` artifact: the development parts of a run's sets and exams, for its steps to read.

`sets/NAME/ID.txt` and `sets/NAME/clusters.csv`, `exams/NAME.jsonl`. Trainer and merger take
held-out texts from here alone and know no other place of them; a sealed text is never in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from bedside_core.artifacts import Artifact
from bedside_core.config import canonical_json
from bedside_core.errors import ArtifactError, ConfigError, InputError
from bedside_core.heldout import CLUSTERS, HeldoutText, clusters_csv, read_heldout
from bedside_core.inspection import Inspection
from bedside_core.kinds.exam import ChoiceItem, ExamItem, read_exam
from bedside_core.kinds.plan import PlannedSet
from bedside_core.kinds.policy import Name
from bedside_core.parts import identities

FORMAT = 1
"""Of the files' layout."""
_SETS, _EXAMS = "sets", "exams"


def _no_folder(value: object) -> object:
    if isinstance(value, Path) or (isinstance(value, str) and ("/" in value or "." in value)):
        raise ValueError(
            "must be the name of a set in eval.heldout, not a folder - write its name: this step "
            "sees the development part of that set alone"
        )
    return value


SetName = Annotated[Name, BeforeValidator(_no_folder)]
"""Setting: the held-out set whose development part a step measures on."""


def part_files(
    sets: Mapping[str, Sequence[HeldoutText]], exams: Mapping[str, Sequence[ExamItem]]
) -> dict[str, bytes]:
    """The files of an artifact that holds these development parts."""
    files: dict[str, bytes] = {}
    for name, texts in sets.items():
        files |= {f"{_SETS}/{name}/{text.id}.txt": text.text.encode() for text in texts}
        files[f"{_SETS}/{name}/{CLUSTERS}"] = clusters_csv(texts).encode()
    for name, items in exams.items():
        lines = [canonical_json(item.model_dump()) + b"\n" for item in items]
        files[f"{_EXAMS}/{name}.jsonl"] = b"".join(lines)
    return files


def set_names(artifact: Artifact) -> list[str]:
    """The held-out sets of which the artifact has a development part, sorted."""
    parts = (Path(entry.path).parts for entry in artifact.manifest.files)
    return sorted({part[1] for part in parts if part[0] == _SETS})


def read_set(artifact: Artifact, name: str) -> list[HeldoutText]:
    """The development part of a held-out set, sorted by file name.

    Raises:
        InputError: the artifact has no such set.
        ArtifactError: a file of it was changed.
    """
    _verify(artifact, f"{_SETS}/{name}/", name)
    return read_heldout(artifact.path / _SETS / name)


def read_exam_part(artifact: Artifact, name: str) -> list[ExamItem]:
    """The development part of an exam.

    Raises:
        InputError: the artifact has no such exam.
        ArtifactError: the file was changed.
    """
    file = f"{_EXAMS}/{name}.jsonl"
    _verify(artifact, file, name)
    return read_exam(artifact.path / file)


def read_choice_part(artifact: Artifact, name: str) -> list[ChoiceItem]:
    """The development part of an exam whose items have options.

    Raises:
        InputError: the artifact has no such exam, or its items are of another type.
        ArtifactError: the file was changed.
    """
    items = read_exam_part(artifact, name)
    choices = [item for item in items if isinstance(item, ChoiceItem)]
    if len(choices) < len(items):
        raise InputError(
            f"exam {name!r} has items of type {items[0].type}, whose answers are not likelihoods "
            "of options - name an exam of type choice"
        )
    return choices


def all_parts(artifact: Artifact) -> Iterable[HeldoutText | ExamItem]:
    """Every text and item of the artifact.

    Raises:
        ArtifactError: a file of it was changed.
    """
    folders = {entry.path.rpartition("/")[0] for entry in artifact.manifest.files}
    for folder in sorted(folders):
        kind, _, name = folder.partition("/")
        if kind == _SETS and name:
            yield from read_set(artifact, name)
    for entry in artifact.manifest.files:
        path = Path(entry.path)
        if path.parent == Path(_EXAMS):
            yield from read_exam_part(artifact, path.stem)


def check_parts(artifact: Artifact, planned: Mapping[str, PlannedSet]) -> None:
    """See that the artifact holds nothing but what a plan has for development.

    Args:
        artifact: of kind `heldout`.
        planned: the sets of the run's plan.

    Raises:
        ArtifactError: a text or an item is sealed, or the plan does not know it; says how many.
    """
    allowed = {identity for one in planned.values() for identity in one.development}
    sealed = {identity for one in planned.values() for identity in one.sealed}
    held = set(identities(all_parts(artifact)))
    wrong = held - allowed | held & sealed
    if wrong:
        raise ArtifactError(
            f"heldout artifact {artifact.digest[:12]} holds {len(wrong)} text(s) or item(s) that "
            "the plan of this run does not have for development - nothing is measured on it; plan "
            "anew (`bedside eval plan`)"
        )


def check_set(name: str, setting: str, inspection: Inspection) -> None:
    """See that a step's held-out set is one that the evaluation of the same run splits."""
    _check(name, "heldout", setting, inspection)


def check_exam(name: str, setting: str, inspection: Inspection) -> None:
    """See that an exam is one that the evaluation of the same run splits."""
    _check(name, "exams", setting, inspection)


def _check(name: str, among: str, setting: str, inspection: Inspection) -> None:
    known = (inspection.document.get("eval") or {}).get(among) or {}
    with inspection.looking(f"{setting}: {name}, the development part of it"):
        if name not in known:
            names = ", ".join(map(str, known)) or "none"
            raise ConfigError(f"{setting}: {name!r} is not in eval.{among} - known are: {names}")


def _verify(artifact: Artifact, prefix: str, name: str) -> None:
    files = [e.path for e in artifact.manifest.files if e.path.startswith(prefix)]
    if not files:
        raise InputError(
            f"heldout artifact {artifact.digest[:12]} has no {prefix.partition('/')[0][:-1]} "
            f"{name!r} - name it in section eval and plan anew (`bedside eval plan`)"
        )
    for file in files:
        artifact.verify(file)
