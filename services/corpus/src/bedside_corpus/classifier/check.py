"""What `bedside check` looks at for classifiers.

Tested in tests/core/test_preflight.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bedside_core.errors import InputError
from bedside_core.inspection import Inspection
from bedside_core.registry.registry import Registry
from bedside_corpus.classifier.config import TrainClassifier

if TYPE_CHECKING:
    from bedside_corpus.config import CorpusConfig


def check_training(settings: TrainClassifier, inspection: Inspection) -> None:
    """The columns of the house's labels, and the folder of the texts of false positives."""
    if settings.labels is not None:
        from bedside_corpus.classifier.labelled import PARTS, check_columns

        with inspection.looking(f"corpus.train_classifier.labels: {settings.labels}"):
            for name in PARTS:
                check_columns(settings.labels / name)
    if settings.encoder is not None:
        with inspection.looking(f"corpus.train_classifier.encoder.path: {settings.encoder.path}"):
            path = settings.encoder.path
            for name in ("config.json", "tokenizer.json"):
                if not (path / name).is_file():
                    raise InputError(f"{path} is no directory with an encoder - it has no {name}")
            if not any(path.glob("*.safetensors")):
                raise InputError(f"{path} has no weights in safetensors - convert them")
    if settings.false_positives is not None:
        with inspection.looking("corpus.train_classifier.false_positives"):
            folder = settings.false_positives.absolute().parent
            if not folder.is_dir():
                raise InputError(f"{folder} is no folder - make it, or name another file")


def check_runs(config: CorpusConfig, inspection: Inspection) -> None:
    """Whether classifiers are trained, published scores there, and the corpus of a sample built."""
    for column, one in config.classifiers.items():
        if one.published is not None:
            from bedside_corpus.classifier.applying import setting_of
            from bedside_corpus.labelling.given import published_files

            with inspection.looking(f"{setting_of(column)}: {one.published.path}"):
                published_files(one.published, setting_of(column))
    registry = Registry.from_environment()
    wanted = {
        f"corpus.classifiers.{column}": (one.run or str(inspection.document["name"]), "classifier")
        for column, one in config.classifiers.items()
    }
    if config.sample is not None and config.sample.like is not None:
        wanted["corpus.sample.like"] = (config.sample.like, "corpus")
    for setting, (run, slot) in wanted.items():
        if registry.slot(run, slot) is None:
            inspection.unsure(f"{setting}: run {run!r} has no {slot} yet")
        else:
            inspection.checked(f"{setting}: run {run!r} has a {slot}")
