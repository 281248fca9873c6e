"""The three stages, in order; each begins where it was interrupted.

    ROOM/read/      documents that the blocks let through, and the keys of their texts and ids
    ROOM/compare/   which of them repeat an earlier one
    ROOM/write/     files of the corpus and their listings

A stage has a rank for each shard (the middle one: for each range of keys). What a rank writes
appears whole, then its mark in `completions/`; so a kill costs the ranks that were running, and
the files are the same to the byte whatever happened and however many workers there were.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bedside_corpus.blocks.base import Block, Step
from bedside_corpus.blocks.cleaning import Cleaning
from bedside_corpus.blocks.heldout import HeldoutFilter
from bedside_corpus.blocks.language import LanguageFilter
from bedside_corpus.blocks.medical import DensityFilter
from bedside_corpus.blocks.quality import QualityFilter
from bedside_corpus.config import CorpusConfig
from bedside_corpus.engine.comparing import KEYS, Comparing
from bedside_corpus.engine.executor import LocalExecutor
from bedside_corpus.engine.keys import ranges
from bedside_corpus.engine.progress import watching
from bedside_corpus.engine.reading import Keeping, Reading, keys_path, scores_of
from bedside_corpus.engine.records import Record, read_records
from bedside_corpus.engine.shards import divide
from bedside_corpus.engine.writing import Deduplicating, Writing
from bedside_corpus.phi.gate import PhiGate
from bedside_corpus.phi.quarantine import quarantine_of
from bedside_corpus.sources import SourceFile


def blocks(config: CorpusConfig, room: Path) -> list[Block]:
    """What decides on each document, in order; the gate is last, as what passes it is written."""
    chosen: list[Block] = [Cleaning()]
    if config.heldout:
        chosen.append(HeldoutFilter(config.heldout))
    if config.language_threshold is not None:
        chosen.append(LanguageFilter(config.language_threshold))
    kinds = {one.name: one.quality for one in config.sources if one.quality is not None}
    if kinds:
        chosen.append(QualityFilter(kinds))
    if config.medical_filter is not None:
        chosen.append(DensityFilter(config.medical_filter.min_density))
    if config.phi is not None:
        chosen.append(PhiGate(config.phi, quarantine_of(room)))
    return chosen


def run_stages(
    config: CorpusConfig, files: Sequence[SourceFile], room: Path
) -> tuple[list[Record], list[Record]]:
    """Run what is not done yet.

    Args:
        config: the section.
        files: of the sources, in their order.
        room: a directory that nobody else uses, kept until the corpus is written.

    Returns:
        What was recorded of each shard: at its reading and at its writing.

    Raises:
        InputError: a file or a held-out text cannot be read, or a worker was killed.
        ArtifactError: the disk is full.
    """
    shards = divide(files)
    sizes = [shard.size for shard in shards]
    folders = {name: room / name for name in ("read", "compare", "write")}
    chosen = blocks(config, room)
    scores = scores_of(chosen)

    def run(stage: str, steps: Sequence[Step], sizes: Sequence[int], unit: str) -> None:
        folder = folders[stage]
        executor = LocalExecutor(
            steps, ranks=len(sizes), workers=config.executor.workers, folder=folder
        )
        with watching(f"corpus: {stage}", sizes, unit, folder / "completions", folder / "beats"):
            executor.run()

    first: list[Step] = [Reading(shards, config.language, folders["read"] / "beats"), *chosen]
    run("read", [*first, Keeping(folders["read"], first, scores)], sizes, "byte")
    read = list(read_records(folders["read"], len(shards)))

    parts = ranges(sum(record.documents for record in read))
    run(
        "compare",
        [Comparing(folders["read"], len(shards), folders["compare"])],
        [1] * parts,
        "range",
    )

    texts, ids = (
        [keys_path(folders["compare"], what, part) for part in range(parts)] for what in KEYS
    )
    last: list[Step] = [Deduplicating(folders["read"], texts, ids)]
    run("write", [*last, Writing(folders["write"], last, scores)], sizes, "byte")
    return read, list(read_records(folders["write"], len(shards)))
