"""What `bedside check` looks at for classifiers.

Tested in tests/core/test_preflight.py.
"""

from __future__ import annotations

from bedside_core.errors import InputError
from bedside_core.inspection import Inspection
from bedside_corpus.classifier.config import TrainClassifier


def check_training(settings: TrainClassifier, inspection: Inspection) -> None:
    """The columns of the house's labels, and the folder of the texts of false positives."""
    if settings.labels is not None:
        from bedside_corpus.classifier.labelled import PARTS, check_columns

        with inspection.looking(f"corpus.train_classifier.labels: {settings.labels}"):
            for name in PARTS:
                check_columns(settings.labels / name)
    if settings.false_positives is not None:
        with inspection.looking("corpus.train_classifier.false_positives"):
            folder = settings.false_positives.absolute().parent
            if not folder.is_dir():
                raise InputError(f"{folder} is no folder - make it, or name another file")
