"""What a threshold is worth at the prevalence of the deployment: precision with a lower bound.

A labelled set has as many medical documents as somebody put into it; a crawl has one in a hundred.
At prevalence pi, precision is pi TPR / (pi TPR + (1 - pi) FPR): the true and false positive rates
carry over from the set, its precision does not.

The threshold is chosen on the validation part of the training set and certified on the test set,
which nobody looked at before: one threshold, so no correction for a choice. TPR and FPR come from
different documents, so the bounds of both hold together with the confidence 1 - alpha if each holds
with (1 - alpha)^(1/2); with an estimated prevalence it is three bounds and the third root. Each is
exact (Clopper and Pearson, Biometrika 26, 1934). Near-copies count once: a cluster is a false
positive if one of its documents is, and found only if all of them are.

bench/corpus/certificate.py shows the coverage by simulation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import special

from bedside_corpus.classifier.bootstrap import resampled

CONFIDENCE = 0.95
CURVE = 101
"""Points of the curve."""
LISTED = 100
"""False positives that are listed, those with the highest scores."""


class Scored(NamedTuple):
    """Scores of independent units: clusters, each with the score that counts for its class."""

    yes: NDArray[np.float64]
    """Of each cluster of medical documents the lowest score."""
    no: NDArray[np.float64]
    """Of each cluster of others the highest."""


class Bound(BaseModel):
    """A share with what its data say of it."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float


class Point(BaseModel):
    """Of the curve; the bounds hold at each threshold alone."""

    model_config = ConfigDict(frozen=True)

    threshold: float
    precision: float | None
    """At the prevalence; nothing where no document passes."""
    precision_low: float
    recall: Bound


class FalsePositive(BaseModel):
    """A document that the classifier takes for medical and its label does not."""

    model_config = ConfigDict(frozen=True)

    id: str
    score: float


class FirstStage(BaseModel):
    """What the n-gram model of a cascade keeps from the encoder, measured on the test set."""

    model_config = ConfigDict(frozen=True)

    threshold: float
    passed_no: Bound
    """Share of other documents that reach the encoder: its work at a low prevalence."""
    lost: Bound
    """Share of medical documents that the encoder alone would keep and the first stage stops."""


class Certificate(BaseModel):
    """`certificate.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    target_precision: float
    confidence: float = CONFIDENCE
    prevalence: Bound
    prevalence_from: Literal["config", "labels"]
    threshold: float
    threshold_from: str
    certified: bool
    """Whether the lower bound of the precision reaches the target."""
    precision: float | None
    """At the prevalence."""
    precision_low: float
    recall: Bound
    false_positive_rate: Bound
    clusters: dict[str, int]
    """Of the test set, `yes` and `no`."""
    needed_no: int | None
    """Clusters of others, none of them a false positive, that would certify the target at this
    recall; nothing where it is certified."""
    as_drawn: dict[str, Bound] = {}
    """Precision, recall and F1 on the test set as it was drawn, by document."""
    curve: tuple[Point, ...] = ()
    false_positives: tuple[FalsePositive, ...] = ()
    first_stage: FirstStage | None = None
    """Of a cascade."""

    def said(self) -> str:
        """One paragraph for a person."""
        where = f"at a prevalence of {self.prevalence.value:.2%}"
        precision = "unknown" if self.precision is None else f"{self.precision:.1%}"
        found = (
            f"threshold {self.threshold:.4f}: precision {precision} {where}, at least "
            f"{self.precision_low:.1%} with {self.confidence:.0%} confidence; recall "
            f"{self.recall.value:.1%} ({self.recall.low:.1%} to {self.recall.high:.1%})"
        )
        if self.certified:
            return f"certified: {found}"
        needed = "" if self.needed_no is None else (
            f" - {self.needed_no:,} other documents without one false positive would do, the test "
            f"set has {self.clusters['no']:,}"
        )  # fmt: skip
        return f"NOT certified for {self.target_precision:.0%}: {found}{needed}"


def scored(
    scores: NDArray[np.floating], labels: NDArray[np.bool_], clusters: Sequence[str]
) -> Scored:
    """One score for each cluster and class; a cluster of both classes counts in each."""
    yes: dict[str, float] = {}
    no: dict[str, float] = {}
    for score, label, cluster in zip(scores.tolist(), labels.tolist(), clusters, strict=True):
        if label:
            yes[cluster] = min(score, yes.get(cluster, math.inf))
        else:
            no[cluster] = max(score, no.get(cluster, -math.inf))
    return Scored(np.sort(list(yes.values())), np.sort(list(no.values())))


def interval(hits: int, of: int, confidence: float = CONFIDENCE) -> Bound:
    """Clopper and Pearson's exact two-sided interval of a share."""
    tail = (1 - confidence) / 2
    return Bound(
        value=hits / of, low=float(_low(hits, of, tail)), high=float(_high(hits, of, tail))
    )


def as_drawn(
    kept: NDArray[np.bool_], labels: NDArray[np.bool_], clusters: Sequence[str]
) -> dict[str, Bound]:
    """Precision, recall and F1 by document, with intervals of a bootstrap over clusters."""
    rows = np.column_stack([kept & labels, kept, labels]).astype(np.float64)
    right, passed, medical = resampled(rows, clusters).T
    rates = {
        "precision": right / np.maximum(passed, 1),
        "recall": right / np.maximum(medical, 1),
        "f1": 2 * right / np.maximum(passed + medical, 1),
    }
    return {name: of_samples(values) for name, values in rates.items()}


def of_samples(values: NDArray[np.float64]) -> Bound:
    """The first value, between the percentiles of the others."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values[1:], [tail, 100 - tail])
    return Bound(value=float(values[0]), low=float(low), high=float(high))


def certify(
    validation: Scored,
    test: Scored,
    *,
    target: float,
    prevalence: float | None,
) -> Certificate:
    """Choose a threshold on one set and certify it on the other.

    Args:
        validation: on which the threshold is chosen.
        test: on which it is certified.
        target: precision, 0 to 1.
        prevalence: share of medical documents where the classifier will work; without it, that of
            the test set, which must then be a random draw from there.

    Returns:
        The certificate, without the curve and what is counted by document.
    """
    level = _level(prevalence)
    share = _prevalence(test, prevalence, level)
    threshold = choose(validation, target=target, prevalence=share.value)
    [point] = _points(test, np.array([threshold]), share, level)
    found, wrong = (int(count) for count in _passed(test, threshold))
    certified = point.precision_low >= target
    return Certificate(
        target_precision=target,
        prevalence=share,
        prevalence_from="labels" if prevalence is None else "config",
        threshold=threshold,
        threshold_from=(
            f"validation part of the training set: {len(validation.yes)} clusters yes, "
            f"{len(validation.no)} no"
        ),
        certified=certified,
        precision=point.precision,
        precision_low=point.precision_low,
        recall=point.recall,
        false_positive_rate=interval(wrong, len(test.no)),
        clusters={"yes": len(test.yes), "no": len(test.no)},
        needed_no=None
        if certified
        else needed(float(_low(found, len(test.yes), 1 - level)), share.low, target, level),
    )


def curve(test: Scored, prevalence: float | None) -> tuple[Point, ...]:
    """Precision and recall on a test set over all thresholds; see `certify` for the prevalence."""
    level = _level(prevalence)
    share = _prevalence(test, prevalence, level)
    return tuple(_points(test, np.linspace(0, 1, CURVE), share, level))


def choose(validation: Scored, *, target: float, prevalence: float) -> float:
    """The lowest threshold whose bound reaches the target, else the one with the best bound.

    Candidates lie half-way between a score of a medical document and the next lower score of any:
    between them nothing changes on these documents, and others fall on either side.
    """
    level = _level(prevalence)
    every = np.unique(np.concatenate([validation.yes, validation.no]))
    at = np.searchsorted(every, np.unique(validation.yes))
    candidates = (every[at] + np.where(at > 0, every[at - 1], 0)) / 2
    lows = _precision_low(validation, candidates, prevalence, level)
    reached = np.flatnonzero(lows >= target)
    return float(candidates[reached[0] if len(reached) else lows.argmax()])


def needed(recall_low: float, prevalence: float, target: float, level: float) -> int | None:
    """Other documents that bound precision by the target, if none is a false positive.

    Nothing where no number of them would: no medical document is surely found.
    """
    largest = prevalence * recall_low * (1 - target) / ((1 - prevalence) * target)
    if largest <= 0:
        return None
    return 1 if largest >= 1 else math.ceil(math.log(1 - level) / math.log1p(-largest))


def precision_at(recall: float, rate: float, prevalence: float) -> float | None:
    """Of documents that pass, the share of medical ones; nothing where none passes."""
    right, wrong = prevalence * recall, (1 - prevalence) * rate
    return right / (right + wrong) if right + wrong > 0 else None


def _level(prevalence: float | None) -> float:
    """Confidence of each one-sided bound, so that all hold together with `CONFIDENCE`."""
    return float(CONFIDENCE ** (1 / (3 if prevalence is None else 2)))


def _prevalence(test: Scored, given: float | None, level: float) -> Bound:
    if given is not None:
        return Bound(value=given, low=given, high=given)
    yes, both = len(test.yes), len(test.yes) + len(test.no)
    return Bound(value=yes / both, low=_low(yes, both, 1 - level), high=_high(yes, both, 1 - level))


def _points(
    of: Scored, thresholds: NDArray[np.float64], prevalence: Bound, level: float
) -> list[Point]:
    lows = _precision_low(of, thresholds, prevalence.low, level).tolist()
    points = []
    for threshold, low in zip(thresholds.tolist(), lows, strict=True):
        found, wrong = (int(count) for count in _passed(of, threshold))
        recall = interval(found, len(of.yes))
        rate = wrong / len(of.no)
        precision = precision_at(recall.value, rate, prevalence.value)
        points.append(Point(threshold=threshold, precision=precision, precision_low=low,
                            recall=recall))  # fmt: skip
    return points


def _precision_low(
    of: Scored, thresholds: NDArray[np.float64], prevalence: float, level: float
) -> NDArray[np.float64]:
    """The bound at each threshold: its formula grows with TPR and falls with FPR."""
    found, wrong = _passed(of, thresholds)
    right = prevalence * _low(found, len(of.yes), 1 - level)
    low: NDArray[np.float64] = right / (
        right + (1 - prevalence) * _high(wrong, len(of.no), 1 - level)
    )
    return low


def _passed(of: Scored, thresholds: NDArray[np.float64] | float) -> tuple[Any, Any]:
    """Clusters of both classes at or above each threshold."""
    yes, no = (len(one) - np.searchsorted(one, thresholds) for one in of)
    return yes, no


def _low(hits: Any, of: int, tail: float) -> Any:
    return np.where(hits > 0, special.betaincinv(np.maximum(hits, 1), of - hits + 1, tail), 0.0)


def _high(hits: Any, of: int, tail: float) -> Any:
    upper = special.betaincinv(hits + 1, np.maximum(of - hits, 1), 1 - tail)
    return np.where(hits < of, upper, 1.0)
