"""What `bedside check` looks at for the section `corpus`: every source and held-out folder.

Tested in tests/core/test_preflight.py.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from bedside_core.errors import ConfigError, InputError
from bedside_core.heldout import read_heldout
from bedside_core.inspection import Inspection
from bedside_core.kinds.exam import read_exam
from bedside_core.kinds.split import SLOT, check_seal
from bedside_core.registry.registry import Registry
from bedside_corpus.classifier.check import check_runs, check_training
from bedside_corpus.config import CorpusConfig, Executor, Source
from bedside_corpus.intake.fetching import known_bytes
from bedside_corpus.labelling.config import AnnotateConfig
from bedside_corpus.sources import find_files
from bedside_corpus.splitting.config import Split
from bedside_corpus.splitting.verb import check_folder

CORPUS_BYTES = 1
"""Of disk for a byte of text: what waits between the stages and the artifact, both compressed."""


def check(config: CorpusConfig, inspection: Inspection) -> None:
    """Find and open every file, without reading what documents say."""
    if config.existing is not None:
        if Registry.from_environment().slot(config.existing, "corpus") is None:
            inspection.unsure(f"corpus.existing: run {config.existing!r} has no corpus yet")
        else:
            inspection.checked(f"corpus.existing: run {config.existing!r} has a corpus")
    if config.executor.kind != "local":
        with inspection.looking(f"corpus.executor: {config.executor.kind}"):
            _look_at(config.executor)
    size = 0
    for name, why in config.left_out.items():
        inspection.checked(f"corpus.sources: {name} is left out ({why})")
    for source in config.used_sources:
        if source.url is not None and inspection.extent != "machine":
            inspection.unsure(
                f"corpus.sources: {source.name}, whose files are fetched by the build"
            )
            continue
        with inspection.looking(f"corpus.sources: {source.name}, its files can be read"):
            size += _open_each(source) if source.url is None else known_bytes(source)
    if config.sources:
        inspection.has("bytes_of_text", size, "corpus")
    inspection.needs("bytes_of_disk_per_byte_of_text", CORPUS_BYTES, "corpus")
    check_runs(config, inspection)
    if config.train_classifier is not None:
        check_training(config.train_classifier, inspection)
    if config.passport.tokenizers:
        with inspection.looking("corpus.passport.tokenizers"):
            from bedside_corpus.passport.measures import load_tokenizer

            for file in config.passport.files().values():
                load_tokenizer(file)
    if config.phi is not None:
        with inspection.looking("corpus.phi"):
            from bedside_corpus.phi.gate import look_at

            look_at(config.phi)
    if config.annotate is not None:
        _look_at_annotate(config.annotate, inspection)
    if config.split is not None:
        _look_at_sets(config.split, inspection)
    for folder in config.heldout:
        with inspection.looking(f"corpus.heldout: {folder}"):
            read_heldout(folder)
    for path in config.exams:
        with inspection.looking(f"corpus.exams: {path}"):
            read_exam(path)
    if config.existing is None:
        _look_for_asked(config, inspection)


def _look_for_asked(config: CorpusConfig, inspection: Inspection) -> None:
    """Whether what the evaluation of the same run asks is kept out of what it trains on."""
    asked = inspection.document.get("eval")
    drawn = config.split.files().values() if config.split is not None else ()
    for among, kept_out in (("heldout", (*config.heldout, *drawn)), ("exams", config.exams)):
        sets = asked.get(among) if isinstance(asked, dict) else None
        known = {path.resolve() for path in kept_out}
        for name, path in (sets if isinstance(sets, dict) else {}).items():
            if Path(str(path)).resolve() not in known:
                inspection.unsure(
                    f"eval.{among}.{name}: {path} is not in corpus.{among}, so that its texts may "
                    "be trained on, and those that were are left out of every number - name it "
                    "there"
                )


def _look_at_annotate(config: AnnotateConfig, inspection: Inspection) -> None:
    from bedside_corpus.labelling.given import PUBLISHED, published_files, read_labelled
    from bedside_corpus.labelling.question import Asked
    from bedside_corpus.labelling.review import read_rows

    with inspection.looking("corpus.annotate.question.prompt"):
        Asked(config.question)
    with inspection.looking("corpus.annotate: its labels"):
        if config.labelled is not None:
            read_labelled(config.labelled)
        if config.published is not None:
            published_files(config.published, PUBLISHED)
    for path in config.review.filled:
        with inspection.looking(f"corpus.annotate.review.filled: {path}"):
            read_rows(path)
    if config.endpoint is not None and config.endpoint.ca_file is not None:
        from bedside_core.endpoint.connection import open_http

        with inspection.looking("corpus.annotate.endpoint.ca_file"):
            open_http(config.endpoint)


def _look_at_sets(split: Split, inspection: Inspection) -> None:
    run, registry = str(inspection.document.get("name")), Registry.from_environment()
    with inspection.looking(f"corpus.split.folder: {split.folder}"):
        check_folder(split.folder, registry.home)
    if registry.slot(run, SLOT) is None:
        inspection.unsure("corpus.split: nothing is drawn yet - `bedside corpus split` comes first")
        return
    for path in split.files().values():
        with inspection.looking(f"corpus.split.folder: {path} is as it was drawn"):
            check_seal(registry, run, path)


def _look_at(executor: Executor) -> None:
    if executor.kind == "slurm" and shutil.which("sbatch") is None:
        from bedside_corpus.engine.slurm import missing

        raise ConfigError(missing("sbatch"))
    if executor.kind == "ray" and find_spec("ray") is None:
        from bedside_corpus.engine.ray import MISSING

        raise ConfigError(MISSING)


def _open_each(source: Source) -> int:
    """Bytes of its files, compressed ones as they are."""
    size = 0
    for file in find_files(source):
        try:
            with file.path.open("rb") as content:
                content.read(1)
                size += os.fstat(content.fileno()).st_size
        except OSError as error:
            raise InputError(
                f"source {source.name!r}: {file.path} cannot be read ({error.strerror}) - make it "
                "readable, or take it out of corpus.sources"
            ) from None
    return size
