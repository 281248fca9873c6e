"""What was measured, asked by measure, set and pair of models, one number per clean cluster.

Tested in tests/eval/test_verdict.py, tests/eval/test_conclude.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedside_core.kinds.policy import LIKELIHOOD
from bedside_eval.records import METRIC_OF, Metric, ModelScores, Role
from bedside_eval.statistics.accuracy import accuracy, accuracy_difference
from bedside_eval.statistics.clusters import cluster_ratios
from bedside_eval.statistics.difference import difference
from bedside_eval.statistics.estimate import Comparison
from bedside_eval.statistics.resampling import seed_of

Array = NDArray[np.float64]


class Grouping(NamedTuple):
    """The clusters of one set's texts or items, in their order."""

    clusters: tuple[int, ...]
    """The number of each text's cluster."""
    excluded: frozenset[int]
    """Clusters that no finding may rest on, because a corpus holds some of them."""
    sha256: str
    """Of the sealed part: resamples follow from it, and from nothing that candidates choose."""

    @property
    def kept(self) -> tuple[bool, ...]:
        """Which texts are clean."""
        return tuple(cluster not in self.excluded for cluster in self.clusters)

    @property
    def labels(self) -> list[str]:
        """The clusters of the clean texts."""
        return [f"{number:09d}" for number in compress(self.clusters, self.kept)]


class Measured:
    """Scores of all models on one paper; gains are positive where the candidate is better."""

    def __init__(
        self,
        results: Mapping[Role, ModelScores],
        heldout: Mapping[str, Grouping],
        exams: Mapping[str, Grouping],
        *,
        confidence: float,
        family: int = 1,
    ) -> None:
        """`family`: how many conditions share the error, for the resolution of p-values."""
        self.results, self.heldout, self.exams = results, heldout, exams
        self.confidence, self._family = confidence, family

    def takes(self, measure: str, of: str) -> bool:
        """Whether this measure of this set was taken, with at least one clean cluster."""
        groups = self.heldout if measure == LIKELIHOOD else self.exams
        known = measure == LIKELIHOOD or measure in METRIC_OF
        return known and of in groups and any(groups[of].kept) and self._whole(measure, of)

    def _whole(self, measure: str, of: str) -> bool:
        """Whether every model gave a number on all of a set; one that did not has none of it."""
        scores = self.results.values()
        return all(of in (s.heldout if measure == LIKELIHOOD else s.exams) for s in scores)

    def gain(self, measure: str, of: str, against: Role, role: Role = "candidate") -> Comparison:
        """By how much one model is better than another: bits per byte, or a share of items."""
        if measure == LIKELIHOOD:
            return difference(
                self.gains(of, against, role),
                confidence=self.confidence,
                seed=seed_of([self.heldout[of].sha256], f"{measure} {of}"),
                family=self._family,
            )
        metric = METRIC_OF[measure]
        return accuracy_difference(
            self.correct(of, metric, role),
            self.correct(of, metric, against),
            self.exams[of].labels,
            confidence=self.confidence,
            seed=seed_of([self.exams[of].sha256], f"{measure} {of}"),
            family=self._family,
        )

    def gains(self, of: str, against: Role, role: Role = "candidate") -> Array:
        """Per cluster, in bits per byte."""
        return self.bits_per_byte(of, against) - self.bits_per_byte(of, role)

    def bits_per_byte(self, of: str, role: Role) -> Array:
        """Per cluster: its negative log-likelihood by its bytes, so long texts weigh more in it."""
        texts = list(compress(self.results[role].heldout[of], self.heldout[of].kept))
        bits = [text.nll / math.log(2) for text in texts]
        return cluster_ratios(bits, [text.bytes for text in texts], self.heldout[of].labels)

    def nats_per_token(self, of: str, role: Role) -> float:
        """Mean over clusters, in the tokens of the model's own tokenizer."""
        texts = list(compress(self.results[role].heldout[of], self.heldout[of].kept))
        values = cluster_ratios(
            [text.nll for text in texts], [text.tokens for text in texts], self.heldout[of].labels
        )
        return math.fsum(values) / len(values)

    def likelihood(self, of: str, role: Role) -> Comparison:
        """One model's bits per byte."""
        seed = seed_of([self.heldout[of].sha256], f"{LIKELIHOOD} {of}")
        values = self.bits_per_byte(of, role)
        return difference(values, confidence=self.confidence, seed=seed)

    def accuracy(self, measure: str, of: str, role: Role = "candidate") -> Comparison:
        """One model's share of right answers."""
        correct = self.correct(of, METRIC_OF[measure], role)
        return accuracy(correct, self.exams[of].labels, confidence=self.confidence)

    def correct(self, of: str, metric: Metric, role: Role) -> list[bool]:
        """Of the clean items, in their order."""
        items = self.results[role].exams[of]
        return [item.correct[metric] for item in compress(items, self.exams[of].kept)]


def numbered(clusters: Sequence[str]) -> tuple[int, ...]:
    """Clusters by number, in the order in which they first come: a house's names stay there."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(cluster, len(numbers)) for cluster in clusters)
