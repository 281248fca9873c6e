"""How often people agree with each other, and the labels with people.

Between people: Fleiss' kappa (Fleiss 1971), whose chance agreement follows from how often each
answer was given, and the free-marginal kappa of Randolph 2005, whose chance agreement is one over
the number of answers. DeFineMed prints "Fleiss' kappa" and cites Randolph; where one answer is
rare, the two differ much, so both are given under their names.

Between labels and people: precision, recall, F1 and accuracy against the majority of the people.
Documents were drawn from each class alike, so each counts for as many as it was drawn from.

Intervals have 95 %. Those of the kappas are percentiles of a bootstrap over clusters (Efron and
Tibshirani 1993). All four measures of the labels follow from two shares, of the documents of each
class that people call yes; of these Jeffreys' posterior is drawn (Brown, Cai and DasGupta 2001), in
which a share of 100 of 100 is no certainty, as it would be in a bootstrap. Documents of one cluster
count as one as far as they are alike in the worst case (Kish's effective size).

Covered: some documents that somebody skipped (out of the kappas), ties (out of the measures).
Not covered: that people err together, as they do where the question is unclear.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 4000
LOW, HIGH = 2.5, 97.5
SEED = 0
"""Of what is drawn for the intervals; the same votes have the same intervals."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """A document that people looked at."""

    label: bool
    """What the labelled set says."""
    yes: int
    no: int
    """How many people say so."""
    cluster: str

    @property
    def majority(self) -> bool | None:
        """None of a tie, and where nobody answered."""
        return None if self.yes == self.no else self.yes > self.no


class Estimate(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """What people's answers say; None is not defined on these."""

    people: int
    documents: int
    """With a majority."""
    ties: int
    by_all: int
    """Documents that everybody answered, which the kappas are of."""
    fleiss_kappa: Estimate | None
    free_marginal_kappa: Estimate | None
    precision: Estimate | None
    recall: Estimate | None
    f1: Estimate | None
    accuracy: Estimate | None


def agreement(judged: Sequence[Judged], population: Mapping[bool, int], people: int) -> Agreement:
    """What the answers say.

    Args:
        judged: each document once.
        population: documents of each class in the whole labelled set, from which an equal number
            was drawn or all.
        people: how many answered.
    """
    decided = [one for one in judged if one.majority is not None]
    by_all = [one for one in judged if one.yes + one.no == people]
    fleiss = free = None
    if people > 1 and by_all:
        fleiss = _bootstrapped(by_all, fleiss_kappa)
        free = _bootstrapped(by_all, free_marginal_kappa)
    measures = _measures(decided, population)
    return Agreement(
        people, len(decided), sum(one.yes == one.no > 0 for one in judged), len(by_all),
        fleiss, free, *measures,
    )  # fmt: skip


def fleiss_kappa(votes: NDArray[np.int64]) -> float:
    """Chance-corrected agreement of any number of people; NaN where all gave one answer.

    Args:
        votes: shape (documents, answers), how many people gave each answer; each row has the same
            sum, of 2 or more.
    """
    shares = votes.sum(axis=0) / votes.sum()
    return _corrected(_observed(votes), float((shares**2).sum()))


def free_marginal_kappa(votes: NDArray[np.int64]) -> float:
    """The same with a chance agreement of one over the number of answers (Randolph 2005).

    Args:
        votes: as above.
    """
    return _corrected(_observed(votes), 1 / votes.shape[1])


def _observed(votes: NDArray[np.int64]) -> float:
    """The share of pairs of people who agree."""
    raters = int(votes[0].sum())
    return float((votes * (votes - 1)).sum() / (len(votes) * raters * (raters - 1)))


def _corrected(observed: float, chance: float) -> float:
    return (observed - chance) / (1 - chance) if chance < 1 else float("nan")


def _bootstrapped(
    judged: Sequence[Judged], kappa: Callable[[NDArray[np.int64]], float]
) -> Estimate | None:
    votes = np.array([(one.yes, one.no) for one in judged], np.int64)
    clusters: dict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(judged):
        clusters[one.cluster].append(place)
    members = [np.array(places) for places in clusters.values()]
    random = np.random.default_rng(SEED)
    drawn = []
    for _ in range(DRAWS):
        chosen = random.integers(len(members), size=len(members))
        drawn.append(kappa(votes[np.concatenate([members[n] for n in chosen])]))
    return _estimate(np.array([kappa(votes), *drawn]))


def _measures(
    decided: Sequence[Judged], population: Mapping[bool, int]
) -> tuple[Estimate | None, ...]:
    """Precision, recall, F1 and accuracy."""
    classes = {label: [one for one in decided if one.label is label] for label in (True, False)}
    if any(population[label] and not classes[label] for label in classes):
        return None, None, None, None  # nobody knows what is in one of them
    random = np.random.default_rng(SEED)
    weight = {label: population[label] / sum(population.values()) for label in classes}
    medical = {label: weight[label] * _share(classes[label], random) for label in classes}
    right, missed = medical[True], medical[False]
    wrong = weight[True] - right
    with np.errstate(invalid="ignore"):
        return (
            _estimate(right / (right + wrong)),
            _estimate(right / (right + missed)),
            _estimate(2 * right / (2 * right + wrong + missed)),
            _estimate(1 - wrong - missed),
        )


def _share(judged: Sequence[Judged], random: np.random.Generator) -> Floats:
    """The share that people call yes, and draws of what it may be in all of the class."""
    if not judged:
        return np.zeros(DRAWS + 1)
    yes = sum(bool(one.majority) for one in judged)
    sizes = np.array([*Counter(one.cluster for one in judged).values()])
    kept = len(judged) / (sizes**2).sum()  # of a document, where its whole cluster is alike
    drawn = random.beta(yes * kept + 0.5, (len(judged) - yes) * kept + 0.5, DRAWS)
    return np.concatenate(([yes / len(judged)], drawn))


def _estimate(values: Floats) -> Estimate | None:
    """Of a value and draws of it; None where it is not defined."""
    value = float(values[0])
    if np.isnan(value):
        return None
    low, high = np.nanpercentile(values[1:], (LOW, HIGH))
    return Estimate(value, min(value, float(low)), max(value, float(high)))
