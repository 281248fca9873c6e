"""The parts of every set and exam: the development parts for other steps, the sealed for a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Literal, NamedTuple

from bedside_core.artifacts import Artifact
from bedside_core.config import Config
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.exam import ExamItem
from bedside_core.kinds.heldout import FORMAT, part_files
from bedside_core.kinds.plan import PlannedSet
from bedside_core.kinds.split import check_seal
from bedside_core.matching import VERSION
from bedside_core.parts import as_planned, planned_set, split
from bedside_core.run import Run
from bedside_eval.config import EvalConfig
from bedside_eval.exam import Paper, read_paper

HELDOUT, EXAM = "heldout", "exam"
Set = Sequence[HeldoutText | ExamItem]


def prepare(config: EvalConfig, run: Run) -> tuple[Artifact, dict[str, PlannedSet]]:
    """Split by cluster, and leave the development parts in the slot `heldout`.

    What any earlier plan of the registry's log had for development stays that. The artifact depends
    on the development parts alone: with other sealed texts nothing needs to be trained again.

    Returns:
        The artifact, and what a plan says of each set, by `heldout/NAME` and `exam/NAME`.

    Raises:
        InputError: a set or an exam is unusable, has too few clusters to be split, or was changed
            after this run had drawn it.
        ArtifactError: the disk is full.
    """
    earlier = run.registry.ledger().plans.values()
    for path in config.heldout.values():
        check_seal(run.registry, run.name, path)
    sets = by_name(read_paper(config.heldout, config.exams))
    parts = split(sets, [one for known in earlier for one in known.plan.sets.values()])
    planned = {name: planned_set(_kind(name), part) for name, part in parts.items()}
    developed = paper_of({name: part.development for name, part in parts.items()})
    files = part_files(developed.heldout, developed.exams)
    recipe = run.recipe(Config(), formats={"heldout": FORMAT, "matching": VERSION}).model_copy(
        update={"inputs": {name: sha256(content).hexdigest() for name, content in files.items()}}
    )
    artifact = run.reuse("heldout", recipe)
    if artifact is None:
        with run.write("heldout", recipe) as writer:
            for name, content in files.items():
                path = writer.path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        artifact = writer.result
    return artifact, planned


class Papers(NamedTuple):
    """What is asked to develop on, and what a look opens."""

    development: Paper
    sealed: Paper


def read_papers(config: EvalConfig, planned: Mapping[str, PlannedSet]) -> Papers:
    """Both parts, with their clusters, of sets and exams that are as they were planned.

    Raises:
        InputError: a set or an exam is unusable, or not that of the plan; names each.
    """
    parts = as_planned(by_name(read_paper(config.heldout, config.exams)), planned)
    return Papers(
        paper_of({name: part.development for name, part in parts.items()}),
        paper_of({name: part.sealed for name, part in parts.items()}),
    )


def by_name(paper: Paper) -> dict[str, Set]:
    """All sets and exams of a paper, by the names that a plan has for them."""
    return {f"{HELDOUT}/{name}": texts for name, texts in paper.heldout.items()} | {
        f"{EXAM}/{name}": items for name, items in paper.exams.items()
    }


def paper_of(sets: Mapping[str, Set]) -> Paper:
    """The paper that these sets make."""
    heldout: dict[str, list[HeldoutText]] = {}
    exams: dict[str, list[ExamItem]] = {}
    for name, members in sets.items():
        _, _, own = name.partition("/")
        if _kind(name) == HELDOUT:
            heldout[own] = [member for member in members if isinstance(member, HeldoutText)]
        else:
            exams[own] = [member for member in members if isinstance(member, ExamItem)]
    return Paper(heldout, exams)


def _kind(name: str) -> Literal["heldout", "exam"]:
    return "heldout" if name.startswith(f"{HELDOUT}/") else "exam"
