"""Which classifiers a build applies, as it knows them before it begins.

Tested in tests/corpus/classifier/test_build.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bedside_core.artifacts import Artifact
from bedside_core.errors import ConfigError, InputError
from bedside_core.run import Run
from bedside_corpus.classifier.config import Classifier, Joined
from bedside_corpus.classifier.stored import Description, describe
from bedside_corpus.labelling.given import published_files


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
    published: Joined | None = None
    """Scores of others, which go before its own."""

    @property
    def columns(self) -> Mapping[str, Literal["number", "label"]]:
        """The score, and the published one; of several classes the highest one's name and score."""
        if self.published is not None:
            return {self.column: "number", self.published_column: "number"}
        if len(self.classes) == 1:
            return {self.column: "number"}
        return {self.column: "label", f"{self.column}_score": "number"}

    @property
    def published_column(self) -> str:
        """Of the published score."""
        return f"{self.column}_published"

    def published_files(self) -> dict[str, Path]:
        """The files of published scores, by name; none where there are no such scores.

        Raises:
            InputError: see `given.published_files`.
        """
        if self.published is None:
            return {}
        return published_files(self.published, setting_of(self.column))

    def facts(self, classifier: str) -> dict[str, object]:
        """What the corpus says of it; `classifier` is its digest. No path is told."""
        said: dict[str, object] = {"classifier": classifier, "threshold": self.threshold}
        if self.published is not None:
            said["published"] = self.published.model_dump(mode="json", exclude={"path"})
        return said


def setting_of(column: str) -> str:
    """What the config calls the published scores of a classifier."""
    return f"corpus.classifiers.{column}.published"


def find(named: Mapping[str, Classifier], run: Run) -> dict[str, tuple[Artifact, Applied]]:
    """The artifacts of the section `corpus.classifiers`, by column.

    Raises:
        ConfigError: one of several classes has a threshold or published scores, or two have one
            column.
        InputError: one was not trained yet, or its certificate does not reach its target.
        PolicyError: one was withdrawn.
        ArtifactError: its files do not match its manifest.
    """
    found = {}
    for column, settings in named.items():
        artifact = replace(run, name=settings.run or run.name).input("classifier")
        described = describe(artifact.path)
        threshold = _threshold(column, settings, described)
        published = settings.published
        if published is not None and len(described.classes) > 1:
            raise ConfigError(
                f"{setting_of(column)}: this classifier tells {len(described.classes)} classes - "
                "leave it out"
            )
        classes, kind = described.classes, described.kind
        applied = Applied(column, artifact.path, threshold, classes, kind, published)
        found[column] = (artifact, applied)
    columns = Counter(name for _, applied in found.values() for name in applied.columns)
    if twice := [name for name, count in columns.items() if count > 1]:
        raise ConfigError(f"corpus.classifiers: two columns {twice[0]!r} - rename one of them")
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
