"""`bedside corpus build`: the recipe, in order; and `work`, what a task of Slurm does of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from bedside_core import memory
from bedside_core.artifacts import Artifact, Recipe
from bedside_core.console import say
from bedside_core.errors import ConfigError, InputError, PolicyError
from bedside_core.identifiers import Identifiers
from bedside_core.kinds.corpus import IDENTIFIERS, MATCHING_VERSION, PASSPORT_PAGE, STATS, WITHDRAWN
from bedside_core.kinds.removed import REMOVED, removed_lines
from bedside_core.kinds.split import SLOT, check_seal
from bedside_core.licences import COVERED, licence
from bedside_core.log import fields
from bedside_core.matching import VERSION
from bedside_core.purpose import PURPOSE
from bedside_core.registry.registry import Registry
from bedside_core.registry.withdrawals import Withdrawal
from bedside_core.run import Run
from bedside_corpus.classifier.applying import Applied, find, libraries_and_device
from bedside_corpus.config import CorpusConfig, Executor
from bedside_corpus.engine.shards import SHARD_BYTES
from bedside_corpus.intake.fetching import find_all
from bedside_corpus.sources import SourceFile, input_files

log = logging.getLogger(__name__)

SMALLER = (
    "a text file, a line of JSON and a row group of Parquet are read whole: split the largest of "
    "corpus.sources, or use a machine with more memory"
)
"""What to do where memory runs out."""


class Prepared(NamedTuple):
    """What a pass over the sources needs."""

    files: list[SourceFile]
    recipe: Recipe
    key: Path | None
    """Of the house's identifiers, where a source is personal or something was withdrawn."""
    classifiers: dict[str, tuple[Artifact, Applied]]
    """By their columns."""
    withdrawn: list[Withdrawal]
    """Documents and patients that stay out."""


def prepare(
    config: CorpusConfig, run: Run, parents: Mapping[str, Artifact] | None = None
) -> Prepared:
    """Find the files of the sources, and write the recipe of what is made of them.

    Raises:
        ConfigError, InputError, PolicyError: see `build`.
    """
    if not config.sources:
        raise ConfigError("corpus.sources is missing - set it, or existing")
    run.registry.refuse_withdrawn_sources(source.name for source in config.used_sources)
    for name, why in config.left_out.items():
        say(f"source {name}: left out, not permitted for the purpose {config.purpose!r}: {why}")
    files = find_all(config.used_sources, run.registry.workrooms[0])
    inputs = input_files(files, config.heldout, config.exams)
    libraries: tuple[str, ...] = ("pyarrow", "ftfy", "py3langid")
    if config.phi is not None:
        from bedside_corpus.phi.gate import look_at

        look_at(config.phi)
        inputs |= config.phi.inputs()
        libraries = (*libraries, "faker", "regex")
    tokenizers = config.passport.files()
    inputs |= {f"passport/{name}": file for name, file in tokenizers.items()}
    libraries = (*libraries, *(["tokenizers"] if tokenizers else []))
    key = None
    withdrawn = run.registry.erased()
    if withdrawn or any(source.is_personal for source in config.used_sources):
        key = run.registry.identifiers_key()
        inputs["identifiers.key"] = key
    classifiers = find(config.classifiers, run)
    for name, (_, applied) in classifiers.items():
        scores = applied.published_files()
        inputs |= {f"classifiers/{name}/published/{file}": path for file, path in scores.items()}
    _refuse_narrower(config, [made for made, _ in classifiers.values()])
    more, device = libraries_and_device(applied for _, applied in classifiers.values())
    from bedside_corpus.decisions import VERSION as DECISIONS
    from bedside_corpus.engine.minhash import VERSION as NEAR
    from bedside_corpus.passport.content import VERSION as PASSPORT

    recipe = run.recipe(
        # Whoever builds it, and whatever other verbs do, it is the same corpus.
        config.model_copy(
            update={"executor": Executor(), "annotate": None, "train_classifier": None}
        ),
        parents={
            **(parents or {}),
            **{f"classifier.{name}": artifact for name, (artifact, _) in classifiers.items()},
        },
        inputs=inputs,
        formats={
            "decisions": DECISIONS,
            "matching": VERSION,
            "near": NEAR,
            "passport": PASSPORT,
            "shard": SHARD_BYTES,
            **({"withdrawn": withdrawn[-1].seq} if withdrawn else {}),
        },
        libraries=(*libraries, *more),
        device=device,
    )
    return Prepared(files, recipe, key, classifiers, withdrawn)


def keep_out_split(config: CorpusConfig, run: Run) -> tuple[CorpusConfig, dict[str, Artifact]]:
    """The section with the sets of `corpus.split` among `heldout`, and the seal as a parent.

    Raises:
        InputError: the sets were not drawn yet, or one was changed since.
    """
    if config.split is None:
        return config, {}
    parents: dict[str, Artifact] = {SLOT: run.input(SLOT)}
    sets = config.split.files().values()
    for path in sets:
        check_seal(run.registry, run.name, path)
    return config.model_copy(update={"heldout": (*config.heldout, *sets), "split": None}), parents


def _refuse_narrower(config: CorpusConfig, classifiers: Iterable[Artifact]) -> None:
    for made in classifiers:
        purpose = made.manifest.facts.get(PURPOSE)
        if purpose is not None and config.purpose not in COVERED[purpose]:
            raise PolicyError(
                f"classifier {made.digest[:12]} was made from texts for {purpose} use alone, not "
                f"for {config.purpose!r} - set corpus.purpose to {purpose}, or train it on others"
            )


def build(config: CorpusConfig, run: Run) -> None:
    """Read the sources, keep what is licensed, new and medical, and write the corpus.

    Raises:
        ConfigError: there are no sources, or a source's path and format do not fit together.
        InputError: a source or held-out set is missing or damaged, or no document is left.
        PolicyError: a source was withdrawn, or a classifier is for another purpose.
        ArtifactError: the corpus cannot be written.
    """
    if config.existing is not None:
        _take(config.existing, config, run)
        return
    config, parents = keep_out_split(config, run)
    files, recipe, key, classifiers, withdrawn = prepare(config, run, parents)
    if withdrawn and key is not None:
        _tell_withdrawn(config, key, withdrawn)
    if run.reuse("corpus", recipe):
        return

    from bedside_corpus.blocks.heldout import Asking, totals
    from bedside_corpus.engine.build import run_stages
    from bedside_corpus.passport.content import content
    from bedside_corpus.passport.files import write_passport
    from bedside_corpus.phi.quarantine import quarantine_of, write_review

    with (
        memory.refusing("building the corpus", lambda: SMALLER),
        run.registry.work(recipe.sha256) as room,
    ):
        tally, written = run_stages(
            config, files, room, key, [applied for _, applied in classifiers.values()], withdrawn
        )
        if aside := write_review(quarantine_of(room)):
            say(f"{aside:,} documents wait for a person: {quarantine_of(room)} has review.csv")
        if not tally.kept:
            why = tally.reasons() or "the sources hold no records"
            raise InputError(
                f"no document is left of {tally.read} that were read: {why} - see the reasons in "
                "the corpus service's README, then correct the documents or corpus.sources"
            )
        check_withdrawn(run.registry, withdrawn)
        with run.write("corpus", recipe) as artifact:
            for record in written:
                kept = record.files if record.documents else ()
                for entry in (*kept, *([record.decisions] if record.decisions else [])):
                    artifact.take(room / "write" / entry.path, entry)
            stats = json.dumps(tally.stats(), indent=2) + "\n"
            (artifact.path / STATS).write_text(stats, encoding="ascii")
            removed = list(Asking(config.heldout, config.exams).removed(tally.heldout))
            (artifact.path / REMOVED).write_bytes(removed_lines(removed))
            artifact.facts["removed"] = totals(removed)
            applied = {name: one.facts(made.digest) for name, (made, one) in classifiers.items()}
            passport = content(
                config,
                recipe,
                tally,
                [record.measures for record in written],
                [record.outcomes for record in written],
                artifact.taken,
                totals(removed),
                _described(classifiers),
            )
            write_passport(artifact, passport)
            artifact.licences = tuple(map(licence, tally.licence_ids()))
            declared = {source.name: source.declared() for source in config.used_sources}
            artifact.facts.update(tally.facts(), declared=declared, **{MATCHING_VERSION: VERSION})
            artifact.facts |= {PURPOSE: config.purpose, "left_out": config.left_out}
            if classifiers:
                artifact.facts["classifiers"] = applied
            if key is not None:
                artifact.facts[IDENTIFIERS] = Identifiers.read(key).key_id
            if withdrawn:
                newest = withdrawn[-1]
                looked = {"entries": len(withdrawn), "seq": newest.seq, "hash": newest.hash}
                artifact.facts[WITHDRAWN] = looked
    tally.report()
    say(f"its passport: {artifact.result.path / PASSPORT_PAGE}")
    log.info("corpus built", extra=fields(read=tally.read, kept=tally.kept, words=tally.words))


def _described(classifiers: Mapping[str, tuple[Artifact, Applied]]) -> dict[str, dict[str, Any]]:
    if not classifiers:
        return {}
    from bedside_corpus.passport.classifiers import described

    return {name: described(made, applied) for name, (made, applied) in classifiers.items()}


def check_withdrawn(registry: Registry, withdrawn: Sequence[Withdrawal]) -> None:
    """See that what was withdrawn when documents were read is all that is now.

    Raises:
        InputError: it is not, so that they may hold what nobody looked for.
    """
    if registry.erased() != [*withdrawn]:
        raise InputError(
            "something was withdrawn while the documents were read - run the same command again"
        )


def work(registry: Registry, room: str, stage: str, task: str) -> None:
    """Do what one task of a job array does of a build that waits for it.

    Args:
        registry: of the build, on a file system that all machines share.
        room: the build's own directory.
        stage: of the build.
        task: its number in the array.

    Raises:
        InputError: what a step was given is unusable, or there is no such task.
        ArtifactError: the disk is full.
    """
    from bedside_corpus.engine.build import run_task

    with memory.refusing("building the corpus", lambda: SMALLER):
        run_task(Path(room), stage, task)


def _tell_withdrawn(config: CorpusConfig, key: Path, withdrawn: list[Withdrawal]) -> None:
    # No error: sets and plan are the house's to change, and the corpus is right without them.
    from bedside_corpus.blocks.tracing import withdrawn_texts

    for path, count in withdrawn_texts(config.heldout, key, withdrawn).items():
        say(
            f"{path}: {count} of its texts were withdrawn, and are measured on as long as they are "
            "there - draw anew (corpus.split.draw) or take them out, then `bedside eval plan`"
        )


def _take(name: str, config: CorpusConfig, run: Run) -> None:
    """Put the corpus of another run into this one's slot, or what is selected of it.

    Its contamination is counted at evaluation.

    Raises:
        InputError: that run has none.
        PolicyError: it was withdrawn.
        ArtifactError: its files do not match its manifest.
    """
    corpus = replace(run, name=name).input("corpus")
    if config.select or config.sample:
        from bedside_corpus.selection import narrow

        like = config.sample and config.sample.like
        narrow(config, corpus, replace(run, name=like).input("corpus") if like else None, run)
        return
    run.registry.set_slot(run.name, "corpus", corpus.digest)
    say(f"corpus {corpus.digest[:12]} of run {name!r}, taken as it is")
