"""Kappas and measures against published worked examples, a library, and known truth."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from bedside_corpus.labelling.agreement import (
    Agreement,
    Judged,
    agreement,
    fleiss_kappa,
    free_marginal_kappa,
)

FLEISS_1971 = np.array([
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
])  # fmt: skip
"""The worked example of Wikipedia's article on Fleiss' kappa: 14 people, 10 subjects, 5 answers."""


def judged(label: bool, yes: int, no: int, n: int, people: int = 1, name: str = "") -> list[Judged]:
    """`yes` documents of the label that people call yes, and `no` others."""
    kinds = [(people, 0)] * yes + [(0, people)] * no
    assert len(kinds) == n
    return [Judged(label, *votes, f"{label}{i}{name}") for i, votes in enumerate(kinds)]


def test_the_worked_examples() -> None:
    assert fleiss_kappa(FLEISS_1971) == pytest.approx(0.210, abs=0.0005)
    # Its observed agreement is 0.378, and one fifth is chance with free margins.
    assert free_marginal_kappa(FLEISS_1971) == pytest.approx((0.378 - 0.2) / 0.8, abs=0.0005)


def test_two_people_by_hand() -> None:
    """20 documents: both yes 1, both no 17, apart 2. Observed 0.9; p(yes) is 4 of 40."""
    votes = np.array([[2, 0]] + [[0, 2]] * 17 + [[1, 1]] * 2)
    chance = 0.1**2 + 0.9**2
    assert fleiss_kappa(votes) == pytest.approx((0.9 - chance) / (1 - chance))
    assert free_marginal_kappa(votes) == pytest.approx(0.8)


def test_measures_count_each_document_for_what_it_was_drawn_from() -> None:
    """100 yes and 900 no, of each 50 drawn: 45 and 5 are what people call yes."""
    sample = judged(True, 45, 5, 50) + judged(False, 5, 45, 50)
    found = agreement(sample, {True: 100, False: 900}, 1)
    truth = [bool(one.majority) for one in sample]
    said = [one.label for one in sample]
    weights = [2 if label else 18 for label in said]
    expected = precision_recall_fscore_support(
        truth, said, average="binary", sample_weight=weights
    )[:3]
    values = [found.precision, found.recall, found.f1]
    assert [one.value for one in values if one] == pytest.approx(expected)
    assert expected == pytest.approx((0.9, 0.5, 180 / 280))
    assert found.accuracy is not None
    assert found.accuracy.value == pytest.approx(accuracy_score(truth, said, sample_weight=weights))
    for one in (*values, found.accuracy):
        assert one is not None
        assert one.low < one.value < one.high
    assert found.fleiss_kappa is None  # one person agrees with nobody


def test_no_error_seen_is_no_certainty() -> None:
    found = agreement(
        judged(True, 100, 0, 100) + judged(False, 0, 100, 100), {True: 100, False: 1900}, 1
    )
    assert found.precision is not None
    assert found.recall is not None
    assert found.precision.value == found.precision.high == 1.0
    assert 0.96 < found.precision.low < 0.99
    # One missed document of the rare class in 100 would stand for 19 others.
    assert found.recall.low < 0.75


def test_one_cluster_counts_once() -> None:
    apart = judged(True, 40, 10, 50) + judged(False, 0, 50, 50)
    together = [Judged(one.label, one.yes, one.no, one.cluster[:5]) for one in apart]
    sizes = []
    for sample in (apart, together):
        found = agreement(sample, {True: 50, False: 50}, 1).precision
        assert found is not None
        sizes.append(found.high - found.low)
    assert sizes[1] > 1.5 * sizes[0]


def test_skipped_documents_and_ties() -> None:
    sample = [
        Judged(True, 2, 1, "a"), Judged(True, 3, 0, "b"), Judged(True, 1, 1, "c"),
        Judged(False, 0, 3, "d"), Judged(False, 1, 2, "e"), Judged(False, 0, 0, "f"),
    ]  # fmt: skip
    found = agreement(sample, {True: 3, False: 3}, 3)
    assert (found.documents, found.ties, found.by_all) == (4, 1, 4)
    votes = np.array([[2, 1], [3, 0], [0, 3], [1, 2]])
    assert found.fleiss_kappa is not None
    assert found.fleiss_kappa.value == pytest.approx(fleiss_kappa(votes))
    assert found.fleiss_kappa.low <= found.fleiss_kappa.value <= found.fleiss_kappa.high


def test_what_is_not_defined_is_not_made_up() -> None:
    unseen = agreement(judged(True, 5, 5, 10), {True: 10, False: 90}, 1)
    assert (unseen.precision, unseen.recall, unseen.f1, unseen.accuracy) == (None,) * 4
    none_yes = agreement(judged(False, 0, 9, 9, people=2), {True: 0, False: 9}, 2)
    assert (none_yes.precision, none_yes.recall, none_yes.fleiss_kappa) == (None, None, None)
    assert none_yes.accuracy is not None
    assert none_yes.free_marginal_kappa is not None
    assert none_yes.free_marginal_kappa.value == 1.0


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """300 reviews of 100 and 100 documents, of a set with known precision 0.9 and recall 0.69."""
    random = np.random.default_rng(7)
    truth = {"precision": 0.9, "recall": 0.09 / (0.09 + 0.9 * 0.045), "accuracy": 0.9495}
    truth["f1"] = 2 * 0.9 * truth["recall"] / (0.9 + truth["recall"])
    hits = dict.fromkeys(truth, 0)
    for _ in range(300):
        yes, missed = int(random.binomial(100, 0.9)), int(random.binomial(100, 0.045))
        sample = judged(True, yes, 100 - yes, 100) + judged(False, missed, 100 - missed, 100)
        found: Agreement = agreement(sample, {True: 1000, False: 9000}, 1)
        for name, value in truth.items():
            one = getattr(found, name)
            hits[name] += one.low <= value <= one.high
    assert {name: 0.92 <= count / 300 <= 0.99 for name, count in hits.items()} == dict.fromkeys(
        truth, True
    ), hits
