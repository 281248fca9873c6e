"""Labelled documents: the run's own, or a folder that the house names.

Tested in tests/corpus/classifier/test_verb.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bedside_core.errors import InputError

PARTS = ("train.parquet", "test.parquet")
YES = "yes"
"""The only class where documents are labelled yes or no."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Documents with what they were labelled as."""

    ids: Sequence[str]
    texts: Sequence[str]
    clusters: Sequence[str]
    classes: tuple[str, ...]
    """Names of the columns of `truth`."""
    truth: NDArray[np.float32]
    """Of shape (documents, classes): 1 for yes, 0 for no; a soft label lies between."""
    labels: NDArray[np.bool_]
    """Of the same shape, the decided labels."""

    def divided(self, share: float, seed: int) -> tuple[Self, Self]:
        """Two parts, of which the second has about this share of the clusters."""
        second = np.array([_draw(cluster, seed) < share for cluster in self.clusters], bool)
        return self._rows(~second), self._rows(second)

    def _rows(self, chosen: NDArray[np.bool_]) -> Self:
        rows = np.flatnonzero(chosen).tolist()
        return type(self)(
            [self.ids[row] for row in rows],
            [self.texts[row] for row in rows],
            [self.clusters[row] for row in rows],
            self.classes,
            self.truth[rows],
            self.labels[rows],
        )


def read_labelled(folder: Path) -> tuple[Labelled, Labelled]:
    """The training and the test set of a folder, with the classes in the same order.

    Raises:
        InputError: a file is missing or damaged, lacks a column or a label, holds nothing of some
            class, or both hold documents of one cluster.
    """
    tables = [_table(folder / name) for name in PARTS]
    named: set[str] = set()
    for table in tables:
        if "classes" in table.column_names:
            named.update(name for row in table["classes"].to_pylist() for name in row or ())
    classes = tuple(sorted(named)) or (YES,)
    train, test = (_labelled(table, classes) for table in tables)
    shared = set(train.clusters) & set(test.clusters)
    if shared:
        raise InputError(
            f"labels: {len(shared)} clusters of documents are in train and test, for example that "
            f"of {min(shared)!r} - put each into one of them"
        )
    for name, part in zip(PARTS, (train, test), strict=True):
        for number, label in enumerate(part.classes):
            yes = int(part.labels[:, number].sum())
            if yes in (0, len(part.ids)):
                raise InputError(
                    f"labels: {name} has {yes} of {len(part.ids)} documents of {label!r} - a "
                    "classifier needs some of it and some of others: label more documents"
                )
    return train, test


def check_columns(path: Path) -> None:
    """Read what columns a file has.

    Raises:
        InputError: it is missing or damaged, or lacks one.
    """
    with _reading(path):
        names = pq.read_schema(path).names
    if {"id", "text"} - set(names) or not {"label", "classes"} & set(names):
        raise InputError(
            f"labels: {path.name} has the columns {', '.join(names)} - it needs id, text, and "
            "label or classes"
        )


def _table(path: Path) -> pa.Table:
    check_columns(path)
    with _reading(path):
        return pq.read_table(path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(
            f"labels: {path} does not exist - run `bedside corpus annotate`, or correct "
            "corpus.train_classifier.labels"
        ) from None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"labels: {path} cannot be read ({type(error).__name__})") from None


def _labelled(table: pa.Table, classes: tuple[str, ...]) -> Labelled:
    ids = [str(one) for one in table["id"].to_pylist()]
    texts = [str(text) for text in table["text"].to_pylist()]
    clusters = table["cluster"].to_pylist() if "cluster" in table.column_names else ids
    if "classes" in table.column_names:
        held = [set(row or ()) for row in table["classes"].to_pylist()]
        labels = np.array([[name in row for name in classes] for row in held], bool)
        truth = labels.astype(np.float32)
    else:
        given = table["label"]
        if not pa.types.is_boolean(given.type) or given.null_count:
            # As numbers or words they would all count as yes, and what is missing as no.
            raise InputError("labels: the column label is not true or false in every row")
        labels = np.array(given.to_pylist(), bool).reshape(-1, 1)
        truth = labels.astype(np.float32)
        if "probability" in table.column_names:
            soft = np.array(table["probability"].to_pylist(), np.float32).reshape(-1, 1)
            truth = np.where(np.isnan(soft), truth, np.clip(soft, 0, 1))
    return Labelled(ids, texts, [str(c) for c in clusters], classes, truth, labels)


def _draw(cluster: str, seed: int) -> float:
    """A number below 1 that the cluster alone decides."""
    digest = sha256(f"{seed}\n{cluster}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
