"""Which classifiers a build applies, as it knows them before it begins.

Tested in tests/corpus/classifier/test_build.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bedside_core.artifacts import Artifact
from bedside_core.errors import ConfigError, InputError
from bedside_core.run import Run
from bedside_corpus.classifier.config import Classifier
from bedside_corpus.classifier.stored import Description, describe


@dataclass(frozen=True, slots=True)
class Applied:
    """A classifier with its column."""

    column: str
    folder: Path
    """Of its artifact."""
    threshold: float | None
    """Documents below are dropped; nothing drops none."""
    classes: tuple[str, ...]
    kind: Literal["ngram", "encoder"] = "ngram"

    @property
    def columns(self) -> Mapping[str, Literal["number", "label"]]:
        """The score; of several classes the highest one's name, and its score."""
        if len(self.classes) == 1:
            return {self.column: "number"}
        return {self.column: "label", f"{self.column}_score": "number"}


def find(named: Mapping[str, Classifier], run: Run) -> dict[str, tuple[Artifact, Applied]]:
    """The artifacts of the section `corpus.classifiers`, by column.

    Raises:
        ConfigError: one of several classes has a threshold.
        InputError: one was not trained yet, or its certificate does not reach its target.
        PolicyError: one was withdrawn.
        ArtifactError: its files do not match its manifest.
    """
    found = {}
    for column, settings in named.items():
        artifact = replace(run, name=settings.run or run.name).input("classifier")
        described = describe(artifact.path)
        threshold = _threshold(column, settings, described)
        found[column] = (
            artifact,
            Applied(column, artifact.path, threshold, described.classes, described.kind),
        )
    return found


def libraries_and_device(applied: Iterable[Applied]) -> tuple[tuple[str, ...], str | None]:
    """What makes the scores, for the recipe.

    Raises:
        InputError: one is an encoder, and torch and transformers are missing.
    """
    kinds = {one.kind for one in applied}
    if "encoder" not in kinds:
        return (("numpy",) if kinds else ()), None
    from bedside_corpus.classifier.encoder import device_kind

    return ("numpy", "torch", "transformers"), device_kind()


def _threshold(column: str, settings: Classifier, described: Description) -> float | None:
    name = f"corpus.classifiers.{column}.threshold"
    if settings.threshold is None:
        return None
    if len(described.classes) > 1:
        raise ConfigError(
            f"{name}: this classifier tells {len(described.classes)} classes - set it to null and "
            "narrow the corpus with corpus.select"
        )
    if settings.threshold != "certificate":
        return settings.threshold
    if not described.certified:
        raise InputError(
            f"{name}: the certificate does not reach its target precision - see certificate.json "
            "of the classifier for what it takes; a number is a threshold of your own"
        )
    return described.thresholds[0]
