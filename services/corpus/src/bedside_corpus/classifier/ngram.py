"""A logistic regression on hashed character n-grams: the embedded default.

It is fitted with scikit-learn and scored with numpy, a document at a time, so that a score depends
on its document alone. Weights are a npz without pickle. Training holds about 8 bytes for each
different n-gram of each document: some 20 kB for a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bedside_core.errors import ArtifactError
from bedside_corpus.classifier.features import features

WEIGHTS = "weights.npz"
SIZES = (3, 4, 5)
"""Characters of an n-gram; of an n-gram of 5 a German stem is a part."""
BITS = 18
STRENGTH = 30.0
"""Inverse of the penalty (scikit-learn's C), for rows of unit length."""


class NgramModel:
    """One column of weights for each class; several classes do not exclude one another."""

    def __init__(self, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        """`weights`: of shape (2^BITS, classes); `bias`: of shape (classes,)."""
        self.weights, self.bias = weights, bias

    @classmethod
    def fit(cls, texts: Sequence[str], truth: NDArray[np.float32], seed: int) -> Self:
        """Fit one regression for each class.

        Args:
            texts: n documents.
            truth: of shape (n, classes), 0 to 1; what lies between is a soft label, which weighs
                the document as much for yes as it says and the rest for no.
            seed: of the solver.
        """
        from scipy.sparse import csr_matrix, vstack
        from sklearn.linear_model import LogisticRegression

        rows = [features(text, SIZES, BITS) for text in texts]
        ends = np.cumsum([0, *(len(row.indices) for row in rows)])
        table = csr_matrix(
            (
                np.concatenate([row.values for row in rows]),
                np.concatenate([row.indices for row in rows]).astype(np.int32),
                ends,
            ),
            shape=(len(rows), 1 << BITS),
        )
        weights = np.zeros((1 << BITS, truth.shape[1]), np.float32)
        bias = np.zeros(truth.shape[1], np.float32)
        for number, share in enumerate(truth.T):
            yes, no = np.flatnonzero(share > 0), np.flatnonzero(share < 1)
            regression = LogisticRegression(C=STRENGTH, solver="newton-cg", random_state=seed)
            regression.fit(
                vstack([table[yes], table[no]], format="csr"),
                np.repeat([1, 0], [len(yes), len(no)]),
                sample_weight=np.concatenate([share[yes], 1 - share[no]]),
            )
            weights[:, number] = regression.coef_[0]
            bias[number] = regression.intercept_[0]
        return cls(weights, bias)

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The probability of each class, of shape (texts, classes)."""
        found = np.empty((len(texts), len(self.bias)), np.float32)
        # In double precision, so that the order of summation does not show in a float32.
        weights = np.ascontiguousarray(self.weights.T, np.float64)
        for row, text in enumerate(texts):
            indices, values = features(text, SIZES, BITS)
            logits = weights.take(indices, axis=1) @ values.astype(np.float64) + self.bias
            found[row] = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
        return found

    def save(self, folder: Path) -> None:
        """Write `WEIGHTS` into a folder."""
        np.savez_compressed(folder / WEIGHTS, weights=self.weights, bias=self.bias)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote.

        Raises:
            ArtifactError: it is missing or is something else.
        """
        try:
            with np.load(folder / WEIGHTS, allow_pickle=False) as stored:
                return cls(stored["weights"], stored["bias"])
        except (OSError, ValueError, KeyError):
            raise ArtifactError(
                f"{folder / WEIGHTS} holds no weights of this version - train the classifier again"
            ) from None
