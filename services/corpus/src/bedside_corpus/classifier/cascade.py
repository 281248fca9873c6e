"""The n-gram model in front of the encoder: what it is sure to be nothing costs no more.

A document below the first stage's threshold has the score 0; of the others the encoder decides. At
a prevalence of one in a hundred that is most of a crawl. The threshold lets a given share of the
medical documents of the validation part through; what is lost is measured on the test set, and the
certificate is that of both together.

Tested in tests/corpus/classifier/test_encoder.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bedside_corpus.classifier.certificate import FirstStage, interval
from bedside_corpus.classifier.encoder import Encoder
from bedside_corpus.classifier.ngram import NgramModel


class Cascade:
    """Scores of one class."""

    def __init__(self, first: NgramModel, encoder: Encoder, threshold: float) -> None:
        self.first, self.encoder, self.threshold = first, encoder, threshold

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Of shape (texts, 1)."""
        found = np.zeros((len(texts), 1), np.float32)
        passed = np.flatnonzero(self.first.score(texts)[:, 0] >= np.float32(self.threshold))
        found[passed] = self.encoder.score([texts[row] for row in passed.tolist()])
        return found


def first_threshold(scores: NDArray[np.float32], recall: float) -> float:
    """The highest threshold that this share of the medical documents' scores reaches."""
    ordered = np.sort(scores)
    return float(ordered[int((1 - recall) * len(ordered))])


def measure(
    first: NDArray[np.float32],
    alone: NDArray[np.float32],
    labels: NDArray[np.bool_],
    thresholds: tuple[float, float],
) -> FirstStage:
    """What the first stage keeps from the encoder on a test set.

    Args:
        first: scores of the n-gram model.
        alone: scores of the encoder, of all documents.
        labels: which documents are medical.
        thresholds: of the first stage and of the whole.
    """
    passed = first >= np.float32(thresholds[0])
    lost = labels & ~passed & (alone >= np.float32(thresholds[1]))
    return FirstStage(
        threshold=thresholds[0],
        passed_no=interval(int((passed & ~labels).sum()), int((~labels).sum())),
        lost=interval(int(lost.sum()), int(labels.sum())),
    )
