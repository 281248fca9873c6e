"""`corpus.existing` with `select` or `sample`: a corpus from another run's, in minutes.

Tested in tests/corpus/classifier/test_build.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from bedside_core.artifacts import Artifact
from bedside_core.console import say
from bedside_core.errors import ArtifactError, InputError
from bedside_core.kinds.corpus import (
    PASSPORT,
    PASSPORT_PAGE,
    SELECTED,
    STATS,
    describe_sources,
    listings,
    shards,
)
from bedside_core.kinds.removed import REMOVED
from bedside_core.run import Run
from bedside_corpus.classifier.config import Sample
from bedside_corpus.config import CorpusConfig, Executor
from bedside_corpus.decisions import VERSION as DECISIONS
from bedside_corpus.engine.executor import LocalExecutor
from bedside_corpus.engine.progress import watching
from bedside_corpus.engine.records import Record, read_records
from bedside_corpus.engine.selecting import (
    Measuring,
    Pair,
    Selecting,
    check_columns,
    cut,
    draws_path,
)
from bedside_corpus.passport.content import VERSION as PASSPORT_VERSION
from bedside_corpus.passport.content import narrowed
from bedside_corpus.passport.files import write_passport
from bedside_corpus.tally import Tally

if TYPE_CHECKING:
    from bedside_corpus.blocks.base import Step


def narrow(config: CorpusConfig, corpus: Artifact, like: Artifact | None, run: Run) -> None:
    """Write the corpus that the selected documents of another one are.

    Args:
        config: the section.
        corpus: the other one.
        like: the corpus that a sample is to be as large as.
        run: of the new one.

    Raises:
        ConfigError: a condition does not fit the columns of the corpus.
        InputError: nothing is left, or a sample has more words than there are.
        PolicyError: one of its sources was withdrawn.
        ArtifactError: its files cannot be read together, or the new one cannot be written.
    """
    run.registry.refuse_withdrawn_sources(str(one["name"]) for one in describe_sources(corpus))
    sample = config.sample
    if sample is not None and like is not None:
        sample = Sample(words=int(like.manifest.facts["words"]), seed=sample.seed)
    files = _files(corpus)
    check_columns(pq.read_schema(files[0].data), config.select)
    tokenizers = config.passport.files()
    recipe = run.recipe(
        config.model_copy(
            update={"executor": Executor(workers=1), "train_classifier": None, "sample": sample}
        ),
        parents={"corpus": corpus},
        inputs={f"passport/{name}": file for name, file in tokenizers.items()},
        formats={"decisions": DECISIONS, "passport": PASSPORT_VERSION},
        libraries=("pyarrow", *(["tokenizers"] if tokenizers else [])),
    )
    if run.reuse("corpus", recipe):
        return
    with run.registry.work(recipe.sha256) as room:
        records = _run(config, sample, files, room)
        tally = Tally.of(records)
        if not tally.kept:
            raise InputError(
                f"corpus.select: none of {tally.read:,} documents is left ({tally.reasons()}) - "
                "select less strictly"
            )
        with run.write("corpus", recipe) as artifact:
            for record in records:
                kept = record.files if record.documents else ()
                for entry in (*kept, *([record.decisions] if record.decisions else [])):
                    artifact.take(room / "select" / entry.path, entry)
            for entry in corpus.manifest.files:
                if entry.path == REMOVED:  # what was kept out of the other corpus is out of this
                    artifact.take(corpus.path / entry.path, entry)
            stats = json.dumps(tally.stats(), indent=2) + "\n"
            (artifact.path / STATS).write_text(stats, encoding="ascii")
            artifact.facts.update(_facts(config, sample, corpus, tally))
            passport = narrowed(
                recipe,
                tally,
                records,
                artifact.taken,
                artifact.facts[SELECTED],
                artifact.facts,
                _passport(corpus),
            )
            write_passport(artifact, passport)
    tally.report()
    say(f"its passport: {artifact.result.path / PASSPORT_PAGE}")


def _passport(corpus: Artifact) -> dict[str, Any] | None:
    """That of the other corpus, where it has one of this form."""
    if all(entry.path != PASSPORT for entry in corpus.manifest.files):
        return None
    found: dict[str, Any] = json.loads(corpus.file(PASSPORT).read_bytes())
    return found if found["passport"] == PASSPORT_VERSION else None


def _files(corpus: Artifact) -> list[Pair]:
    data, listed = shards(corpus), listings(corpus)
    if len(data) != len(listed):
        raise ArtifactError(
            f"corpus {corpus.digest[:12]} has {len(data)} files of documents and {len(listed)} "
            "listings - build it again"
        )
    return [Pair(one.path, other.path) for one, other in zip(data, listed, strict=True)]


def _run(
    config: CorpusConfig, sample: Sample | None, files: Sequence[Pair], room: Path
) -> list[Record]:
    sizes = [pair.data.stat().st_size for pair in files]

    def run(stage: str, step: Step) -> None:
        folder = room / stage
        executor = LocalExecutor(
            [step], ranks=len(files), workers=config.executor.processes, folder=folder
        )
        with watching(f"corpus: {stage}", sizes, "byte", folder / "completions", folder / "beats"):
            executor.run()

    drawn = None
    if sample is not None and sample.words is not None:
        measured = room / "measure"
        run("measure", Measuring(files, config.select, sample.seed, measured))
        paths = [draws_path(measured, rank) for rank in range(len(files))]
        drawn = (sample.seed, cut(paths, sample.words))
    run("select", Selecting(files, config.select, drawn, room / "select", config.passport.files()))
    return list(read_records(room / "select", len(files)))


def _facts(
    config: CorpusConfig, sample: Sample | None, corpus: Artifact, tally: Tally
) -> dict[str, object]:
    """What is known of the other corpus holds of its documents here; counts are new."""
    before, counted = corpus.manifest.facts, tally.facts()
    names = {source["name"] for source in counted["sources"]}
    declared = {n: said for n, said in before.get("declared", {}).items() if n in names}
    chosen = {"from": corpus.digest, "read": tally.read,
              "select": config.model_dump(mode="json")["select"],
              "sample": None if sample is None else sample.model_dump(mode="json")}  # fmt: skip
    say(f"of corpus {corpus.digest[:12]}: {tally.read:,} documents")
    counts = {name: counted[name] for name in ("documents", "words", "sources", "dropped")}
    return {**before, **counts, "declared": declared, SELECTED: chosen}
