"""The stages, in order; each begins where it was interrupted.

    ROOM/published/ scores of others for these documents, sorted by id
    ROOM/read/      documents that the blocks let through, and the keys of their texts and ids
    ROOM/group/     the keys of neighbouring shards in one file
    ROOM/compare/   which of them repeat an earlier one, or are alike it
    ROOM/resolve/   which of them are left out, and what for
    ROOM/write/     files of the corpus and their listings

A stage has a rank for each shard (published: for each classifier that has such scores; to group:
for some shards; to compare: for each range of keys; to resolve: one). What a rank writes appears
whole, then its mark in `completions/`; so a kill costs the ranks that were running, and the files
are the same to the byte whatever happened and however many workers there were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from bedside_core.errors import InputError
from bedside_core.registry.withdrawals import Withdrawal
from bedside_corpus.blocks.base import BatchBlock, Block, Step
from bedside_corpus.blocks.classifying import Classifying
from bedside_corpus.blocks.cleaning import Cleaning
from bedside_corpus.blocks.heldout import Asking, HeldoutFilter
from bedside_corpus.blocks.language import LanguageFilter
from bedside_corpus.blocks.medical import DensityFilter
from bedside_corpus.blocks.quality import QualityFilter
from bedside_corpus.blocks.same_patient import SamePatient
from bedside_corpus.blocks.tracing import Tracing
from bedside_corpus.classifier.applying import Applied
from bedside_corpus.config import CorpusConfig, Executor
from bedside_corpus.engine.comparing import KEYS, PAIRS, Comparing, Grouping, groups
from bedside_corpus.engine.executor import LocalExecutor
from bedside_corpus.engine.indexing import Indexing
from bedside_corpus.engine.keys import ranges
from bedside_corpus.engine.minhash import Bands
from bedside_corpus.engine.progress import watching
from bedside_corpus.engine.reading import Keeping, Reading, scores_of
from bedside_corpus.engine.records import Record, read_records
from bedside_corpus.engine.resolving import Resolving
from bedside_corpus.engine.shards import divide
from bedside_corpus.engine.spread import Spreading
from bedside_corpus.engine.work import Work
from bedside_corpus.engine.writing import Deduplicating, Writing
from bedside_corpus.labelling.drawing import Drawing
from bedside_corpus.labelling.given import NamedFilter, read_labelled
from bedside_corpus.phi.gate import PhiGate
from bedside_corpus.phi.quarantine import quarantine_of
from bedside_corpus.sources import SourceFile
from bedside_corpus.tally import Tally

PUBLISHED = "published"
"""The stage before the others, where a classifier has published scores."""


def blocks(work: Work) -> list[Block | BatchBlock]:
    """What decides on each document, in order; the gate is last, as what passes it is written."""
    config = work.config
    chosen: list[Block | BatchBlock] = [Cleaning()]
    if work.key is not None:
        chosen.append(Tracing(work.key, work.withdrawn))
    if (asking := _asking(config)) is not None:
        chosen.append(HeldoutFilter(asking))
    if config.heldout:
        chosen.append(SamePatient(config.heldout))
    if config.language_threshold is not None:
        chosen.append(LanguageFilter(config.language_threshold))
    kinds = {one.name: one.quality for one in config.used_sources if one.quality is not None}
    if kinds:
        chosen.append(QualityFilter(kinds))
    if config.medical_filter is not None:
        chosen.append(DensityFilter(config.medical_filter.min_density))
    if work.classifiers:
        chosen.append(Classifying(work.classifiers, work.folder(PUBLISHED)))
    if config.phi is not None:
        chosen.append(PhiGate(config.phi, quarantine_of(work.room)))
    return chosen


def _asking(config: CorpusConfig) -> Asking | None:
    return Asking(config.heldout, config.exams) if config.heldout or config.exams else None


class Stage(NamedTuple):
    """A part of the build whose ranks need nothing of each other."""

    name: str
    unit: str
    """Of the sizes, for the progress bar."""
    steps: Callable[[Work], list[Step]]
    """The same wherever it is called."""
    sizes: Callable[[Work], Sequence[int]]
    """Of each rank; called when the stages before are done."""


def _published(work: Work) -> list[Step]:
    return [Indexing(_joined(work), work.folder(PUBLISHED))]


def _published_bytes(work: Work) -> list[int]:
    files = (one.published_files().values() for one in _joined(work))
    return [sum(file.stat().st_size for file in of) for of in files]


def _joined(work: Work) -> list[Applied]:
    return [one for one in work.classifiers if one.published is not None]


def _read(work: Work) -> list[Step]:
    config, folder = work.config, work.folder("read")
    chosen = blocks(work)
    reading = Reading(work.shards, config.language, config.purpose, folder / "beats", work.key)
    steps: list[Step] = [reading, *chosen]
    return [*steps, Keeping(folder, steps, scores_of(chosen), config.near_duplicates)]


def _group(work: Work) -> list[Step]:
    read, folder, near = work.folder("read"), work.folder("group"), work.config.near_duplicates
    return [Grouping(read, len(work.shards), folder, near)]


def _compare(work: Work) -> list[Step]:
    read, grouped, folder = (work.folder(name) for name in ("read", "group", "compare"))
    return [Comparing(read, grouped, len(work.shards), folder, work.config.near_duplicates)]


def _resolve(work: Work) -> list[Step]:
    read, folder, shards = work.folder("read"), work.folder("resolve"), len(work.shards)
    steps: list[Step] = []
    if (asking := _asking(work.config)) is not None:
        steps.append(Spreading(read, shards, folder, asking))
    texts, ids, pairs = (_compared(work, what) for what in (*KEYS, PAIRS))
    near = work.config.near_duplicates
    return [*steps, Resolving(read, texts, ids, pairs, shards, folder, near, steps)]


def _write(work: Work) -> list[Step]:
    read, resolved = work.folder("read"), work.folder("resolve")
    steps: list[Step] = [Deduplicating(read, resolved, _asking(work.config))]
    scores = scores_of(blocks(work))
    tokenizers = work.config.passport.files()
    return [*steps, Writing(read, work.folder("write"), steps, scores, tokenizers)]


def _compared(work: Work, what: str) -> list[Path]:
    return sorted((work.folder("compare") / what).glob("*.npy"))


def bytes_of(work: Work) -> list[int]:
    """Of each shard, as the size of its rank."""
    return [shard.size for shard in work.shards]


def _groups(work: Work) -> list[int]:
    return [len(group) for group in groups(len(work.shards))]


def _ranges(work: Work) -> list[int]:
    kept = sum(one.documents for one in read_records(work.folder("read"), len(work.shards)))
    near = work.config.near_duplicates
    return [1] * ranges(kept * (1 if near is None else Bands.reaching(near.jaccard).number))


def _all(work: Work) -> list[int]:
    return [len(work.shards)]


def _draw(work: Work) -> list[Step]:
    config, folder, wanted = work.config, work.folder("draw"), work.config.annotate
    if wanted is None:
        raise RuntimeError("the section says what is drawn")
    chosen, size = blocks(work), wanted.documents
    if wanted.labelled is not None:
        labels = read_labelled(wanted.labelled)
        # Behind the cleaning: they may name a cleaned text by its hash, and the gate renames.
        chosen, size = [chosen[0], NamedFilter(labels), *chosen[1:]], len(labels)
    reading = Reading(work.shards, config.language, config.purpose, folder / "beats", work.key)
    steps: list[Step] = [reading, *chosen]
    return [*steps, Drawing(folder, steps, scores_of(chosen), size=size, seed=wanted.seed)]


STAGES = (
    Stage(PUBLISHED, "byte", _published, _published_bytes),
    Stage("read", "byte", _read, bytes_of),
    Stage("group", "shard", _group, _groups),
    Stage("compare", "range", _compare, _ranges),
    Stage("resolve", "shard", _resolve, _all),
    Stage("write", "byte", _write, bytes_of),
)


DRAW = Stage("draw", "byte", _draw, bytes_of)
"""In the place of these, for `annotate`: so many of the documents that the blocks let through, or
all that people labelled."""


def run_stages(
    config: CorpusConfig,
    files: Sequence[SourceFile],
    room: Path,
    key: Path | None = None,
    classifiers: Sequence[Applied] = (),
    withdrawn: Sequence[Withdrawal] = (),
) -> tuple[Tally, list[Record]]:
    """Run what is not done yet.

    Args:
        config: the section.
        files: of the sources, in their order.
        room: a directory that nobody else uses, kept until the corpus is written.
        key: of the house's identifiers, where a source is personal or something was withdrawn.
        classifiers: that score each document, in the order of their columns.
        withdrawn: documents and patients that stay out.

    Returns:
        What all steps did; and what was recorded of each shard at its writing.

    Raises:
        InputError: a file or a held-out text cannot be read, or a worker was killed.
        ArtifactError: the disk is full.
    """
    work = Work(config, tuple(divide(files)), room, key, tuple(classifiers), tuple(withdrawn))
    run(work, STAGES)
    number = len(work.shards)
    read, resolved = (
        read_records(work.folder("read"), number),
        read_records(work.folder("resolve"), 1),
    )
    written = list(read_records(work.folder("write"), number))
    return Tally.of(chain(read, resolved), written), written


def run(work: Work, stages: Sequence[Stage]) -> None:
    """Run what is not done yet of these stages, one after the other.

    Raises:
        InputError: what a step was given is unusable, or a worker was killed.
        ArtifactError: the disk is full.
    """
    work.save()
    with _cluster(work.config.executor):
        for stage in stages:
            folder, sizes = work.folder(stage.name), stage.sizes(work)
            if not sizes:
                continue
            with watching(
                f"corpus: {stage.name}", sizes, stage.unit, folder / "completions", folder / "beats"
            ):
                _run(stage, work, len(sizes))


def _cluster(executor: Executor) -> AbstractContextManager[None]:
    if executor.kind != "ray":
        return nullcontext()
    from bedside_corpus.engine.ray import cluster

    return cluster(executor)


def _run(stage: Stage, work: Work, ranks: int) -> None:
    executor = work.config.executor
    match executor.kind:
        case "slurm":
            from bedside_corpus.engine.slurm import SlurmExecutor

            SlurmExecutor(executor, work.room, stage.name, ranks=ranks).run()
        case "ray":
            from bedside_corpus.engine.ray import RayExecutor

            RayExecutor(executor, work.room, stage.name, run_rank, ranks=ranks).run()
        case "local":
            folder = work.folder(stage.name)
            LocalExecutor(
                stage.steps(work), ranks=ranks, workers=executor.processes, folder=folder
            ).run()


def run_task(room: Path, stage: str, number: str) -> None:
    """Run the ranks of one task of a job array.

    Raises:
        InputError: a step says that what it was given is unusable, or there is no such task.
    """
    from bedside_corpus.engine.slurm import read_group

    try:
        group = read_group(room / stage, int(number))
        executor = _executor(room, stage, group.world)
    except (FileNotFoundError, IndexError, KeyError, ValueError):
        raise InputError(
            f"{room / stage} has no task {number} - `bedside corpus build` starts this verb under "
            "Slurm; is its BEDSIDE_HOME on a file system that this machine shares?"
        ) from None
    executor.run(group.ranks)


def run_rank(room: Path, stage: str, rank: int, world: int) -> None:
    """Run one rank of `world`, in whatever process was started for it."""
    _executor(room, stage, world).run([rank])


@lru_cache(maxsize=1)
def _executor(room: Path, stage: str, world: int) -> LocalExecutor:
    """It is kept, with all that its blocks have loaded, for the next rank in this process."""
    work = Work.load(room)
    steps = {one.name: one.steps for one in (*STAGES, DRAW)}[stage](work)
    processes = work.config.executor.processes
    return LocalExecutor(steps, ranks=world, workers=processes, folder=work.folder(stage))
