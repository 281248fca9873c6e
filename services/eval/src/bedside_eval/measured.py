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

from bedside_core.kinds.measures import MEASURES, WIN_RATE, of_items
from bedside_eval.judging.pairs import enough, restricted, scores
from bedside_eval.judging.records import Judged, JudgedFailures, JudgedPair
from bedside_eval.records import AGAINST, METRIC_OF, ItemScore, ModelScores, Role
from bedside_eval.statistics.accuracy import accuracy, accuracy_difference
from bedside_eval.statistics.calibration import (
    bins_for,
    brier,
    confidence,
    coverage_accuracy,
    expected_calibration_error,
)
from bedside_eval.statistics.clusters import cluster_means, cluster_ratios
from bedside_eval.statistics.difference import difference
from bedside_eval.statistics.estimate import Comparison
from bedside_eval.statistics.resampled import resampled
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
        judged: Judged | None = None,
    ) -> None:
        """`family`: how many conditions share the error, for the resolution of p-values."""
        self.results, self.heldout, self.exams, self.judged = results, heldout, exams, judged
        self.confidence, self._family = confidence, family

    def takes(self, measure: str, of: str) -> bool:
        """Whether this measure of this set was taken, with at least one clean cluster."""
        found = MEASURES.get(measure)
        groups = self.exams if found is not None and found.of else self.heldout
        if found is None or of not in groups or not any(groups[of].kept):
            return False
        if found.taken == "judge":
            return self.withheld(measure, of) is None
        return all(self._has(scores, measure, of) for scores in self.results.values())

    def withheld(self, measure: str, of: str) -> str | None:
        """Why a verdict may not rest on what judges say of an exam; None if it may."""
        judged = self.judged
        if judged is None or of not in judged.languages:
            return "no judge was asked"
        missing = judged.advisory(of)
        if missing:
            return f"without a passed card, judges are advisory: {', '.join(missing)}"
        if measure == WIN_RATE:
            rivals = [role for role in AGAINST if role in self.results]
            whole = all(enough(self.pair(of, "candidate", rival)) for rival in rivals)
        else:
            whole = all(self._failures(of, role).enough for role in self.results)
        return None if whole else "too many verdicts are missing"

    def pair(self, of: str, first: Role, second: Role) -> JudgedPair:
        """Two models' answers to the clean items of an exam beside each other."""
        assert self.judged is not None  # noqa: S101 - asked by the callers
        found = next(
            p for p in self.judged.pairs if (p.exam, p.first, p.second) == (of, first, second)
        )
        return restricted(found, self.exams[of].kept)

    def _failures(self, of: str, role: Role) -> JudgedFailures:
        assert self.judged is not None  # noqa: S101 - asked by the callers
        return next(f for f in self.judged.failures if (f.exam, f.role) == (of, role))

    def _has(self, scores: ModelScores, measure: str, of: str) -> bool:
        """Whether a model gave a number on all of a set; one that did not has none of it."""
        found = MEASURES[measure]
        if found.taken == "likelihood":
            return of in (scores.exams if found.of else scores.heldout)
        return measure in scores.values.get(of, {})

    def taken(self, of: str) -> list[str]:
        """The measures that were taken of an exam, but those of judges (`Judging` has them)."""
        return [
            name for name in of_items() if MEASURES[name].taken != "judge" and self.takes(name, of)
        ]

    def gain(self, measure: str, of: str, against: Role, role: Role = "candidate") -> Comparison:
        """By how much one model is better than another: bits per byte, or a share of items."""
        found = MEASURES[measure]
        groups = self.exams if found.of else self.heldout
        seed = seed_of([groups[of].sha256], f"{measure} {of}")
        if found.form == "binary":
            pair = (against, role) if found.less_is_better else (role, against)
            ours, theirs = ([v == 1 for v in self.values(measure, of, r)] for r in pair)
            labels = groups[of].labels
            return accuracy_difference(
                ours, theirs, labels, confidence=self.confidence, seed=seed, family=self._family
            )
        if found.form == "statistic":
            pair = (against, role) if found.less_is_better else (role, against)
            return self._resampled(measure, of, pair, seed)
        gains = self.gains(measure, of, against, role)
        return difference(gains, confidence=self.confidence, seed=seed, family=self._family)

    def gains(self, measure: str, of: str, against: Role, role: Role = "candidate") -> Array:
        """The same per cluster, shape (clusters,); of rates and means."""
        if measure == WIN_RATE:
            return self.won(self.pair(of, role, against)) - 0.5
        ours, theirs = (self.by_cluster(measure, of, r) for r in (role, against))
        return theirs - ours if MEASURES[measure].less_is_better else ours - theirs

    def won(self, pair: JudgedPair) -> Array:
        """The first model's score per cluster, shape (clusters,), sorted by label."""
        return cluster_means(scores(pair), self.exams[pair.exam].labels)

    def own(self, measure: str, of: str, role: Role = "candidate") -> Comparison:
        """One model's own value."""
        found = MEASURES[measure]
        if found.form == "binary":
            right = [value == 1 for value in self.values(measure, of, role)]
            return accuracy(right, self.exams[of].labels, confidence=self.confidence)
        groups = self.exams if found.of else self.heldout
        seed = seed_of([groups[of].sha256], f"{measure} {of}")
        if found.form == "statistic":
            return self._resampled(measure, of, (role,), seed)
        values = self.by_cluster(measure, of, role)
        return difference(values, confidence=self.confidence, seed=seed)

    def _resampled(self, measure: str, of: str, roles: Sequence[Role], seed: int) -> Comparison:
        sat = [self._items(of, role) for role in roles]
        statistic = (
            coverage_accuracy
            if measure == "coverage_accuracy"
            else expected_calibration_error(bins_for(len(sat[0])))
        )
        models = [
            (
                [confidence(item.loglikelihoods) for item in items],
                [float(item.correct["acc"]) for item in items],
            )
            for items in sat
        ]
        return resampled(
            statistic, models, self.exams[of].labels,
            confidence=self.confidence, seed=seed, family=self._family,
        )  # fmt: skip

    def by_cluster(self, measure: str, of: str, role: Role) -> Array:
        """One model's value per cluster, shape (clusters,), sorted by label; of rates and means."""
        if MEASURES[measure].form == "rate":
            return self.bits_per_byte(of, role)
        return cluster_means(self.values(measure, of, role), self.exams[of].labels)

    def values(self, measure: str, of: str, role: Role) -> list[float]:
        """Of the clean items, in their order: 1 or 0 of a binary measure, else between them."""
        if measure in METRIC_OF:
            return [float(item.correct[METRIC_OF[measure]]) for item in self._items(of, role)]
        if measure == "brier":
            return [brier(item.loglikelihoods, item.answers) for item in self._items(of, role)]
        if MEASURES[measure].taken == "judge":
            values = self._failures(of, role).values[measure.removeprefix("failure_")]
        else:
            values = self.results[role].values[of][measure]
        return list(compress(values, self.exams[of].kept))

    def _items(self, of: str, role: Role) -> list[ItemScore]:
        return list(compress(self.results[role].exams[of], self.exams[of].kept))

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


def numbered(clusters: Sequence[str]) -> tuple[int, ...]:
    """Clusters by number, in the order in which they first come: a house's names stay there."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(cluster, len(numbers)) for cluster in clusters)
