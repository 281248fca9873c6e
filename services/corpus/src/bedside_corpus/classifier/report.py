"""How well several classes are told: F1 for each and their mean, with intervals.

Tested in tests/corpus/classifier/test_verb.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from bedside_corpus.classifier.bootstrap import resampled
from bedside_corpus.classifier.certificate import Bound, of_samples


class Report(BaseModel):
    """`report.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents: int
    f1: dict[str, float]
    """Of each class, at its threshold."""
    macro_f1: Bound
    """Their mean; the interval is a bootstrap over clusters."""
    top: Bound
    """Share of documents whose highest score is that of a class they have: the column of a corpus
    holds that class."""


def thresholds(scores: NDArray[np.float32], labels: NDArray[np.bool_]) -> tuple[float, ...]:
    """For each class the threshold of the best F1 on these documents."""
    found = []
    for score, label in zip(scores.T, labels.T, strict=True):
        order = np.argsort(-score, kind="stable")
        right = np.cumsum(label[order])
        f1 = 2 * right / (np.arange(1, len(score) + 1) + max(1, label.sum()))
        found.append(float(score[order][int(f1.argmax())]))
    return tuple(found)


def report(
    scores: NDArray[np.float32],
    labels: NDArray[np.bool_],
    clusters: Sequence[str],
    at: Sequence[float],
    classes: Sequence[str],
) -> Report:
    """Measure on a test set; `scores` and `labels` are of shape (documents, classes)."""
    kept = scores >= np.asarray(at, np.float32)
    top = labels[np.arange(len(labels)), scores.argmax(axis=1)]
    rows = np.column_stack([2 * (kept & labels), kept * 1 + labels, top, np.ones(len(top))])
    sums = resampled(rows, clusters)
    many = len(classes)
    f1 = sums[:, :many] / np.maximum(1, sums[:, many : 2 * many])
    return Report(
        documents=len(labels),
        f1=dict(zip(classes, f1[0].tolist(), strict=True)),
        macro_f1=of_samples(f1.mean(axis=1)),
        top=of_samples(sums[:, -2] / sums[:, -1]),
    )
