"""What a certificate claims holds: against hand-made numbers, and as often as it says."""

import numpy as np
import pytest
from scipy import stats

from bedside_corpus.classifier.certificate import (
    Scored,
    as_drawn,
    certify,
    interval,
    needed,
    precision_at,
    scored,
)


def drawn(random, yes, no):
    """Scores of two normal classes, on the logistic scale."""
    values = (random.normal(2.5, 1.5, yes), random.normal(-2.5, 1.5, no))
    return Scored(*(np.sort(1 / (1 + np.exp(-v))) for v in values))


def true_precision(threshold, prevalence):
    logit = np.log(threshold / (1 - threshold))
    recall, rate = (stats.norm.sf(logit, mean, 1.5) for mean in (2.5, -2.5))
    return precision_at(recall, rate, prevalence)


def test_precision_at_a_prevalence_by_hand():
    # Of 1000 documents 10 are medical; 9 are found, and 99 of 990 others pass.
    assert precision_at(0.9, 0.1, 0.01) == pytest.approx(9 / 108)
    assert precision_at(0, 0, 0.5) is None


def test_exact_intervals_by_hand():
    # No hit among n: the upper bound is 1 - (alpha / 2)^(1 / n).
    assert interval(0, 50).high == pytest.approx(1 - 0.025 ** (1 / 50))
    assert interval(0, 50).low == 0
    assert interval(50, 50).low == pytest.approx(0.025 ** (1 / 50))
    assert (interval(3, 10).low, interval(3, 10).high) == pytest.approx((0.0667, 0.6525), abs=1e-4)


def test_few_documents_cannot_certify_a_rare_class_and_it_says_how_many_would():
    perfect = Scored(np.full(100, 0.9), np.full(200, 0.1))
    certificate = certify(perfect, perfect, target=0.9, prevalence=0.01)
    assert certificate.precision == 1
    assert not certificate.certified
    assert certificate.precision_low < 0.4
    assert "NOT certified for 90%" in certificate.said()
    # With as many it would be: the promise is kept by its own rule.
    enough = Scored(np.full(100, 0.9), np.full(certificate.needed_no, 0.1))
    assert certify(perfect, enough, target=0.9, prevalence=0.01).certified
    fewer = Scored(np.full(100, 0.9), np.full(certificate.needed_no - 1, 0.1))
    assert not certify(perfect, fewer, target=0.9, prevalence=0.01).certified


def test_nothing_is_needed_where_nothing_would_help():
    assert needed(0, 0.01, 0.9, 0.975) is None


@pytest.mark.parametrize("prevalence", [0.01, 0.2, None])
def test_the_bound_holds_as_often_as_it_says(prevalence):
    random = np.random.default_rng(5)
    held, rounds = 0, 300
    for _ in range(rounds):
        yes = 200 if prevalence is not None else int(random.binomial(1000, 0.2))
        test = drawn(random, yes, 1000 - yes)
        found = certify(drawn(random, 100, 400), test, target=0.8, prevalence=prevalence)
        held += found.precision_low <= true_precision(found.threshold, prevalence or 0.2)
    # 95 % of 300 less three standard errors: what chance explains.
    assert held >= rounds * 0.95 - 3 * (rounds * 0.95 * 0.05) ** 0.5


def test_near_copies_count_once():
    found = scored(np.array([0.9, 0.2, 0.8, 0.1]), np.array([True, True, False, False]),
                   ["a", "a", "b", "b"])  # fmt: skip
    assert found.yes.tolist() == [0.2]
    assert found.no.tolist() == [0.8]


def test_rates_as_drawn():
    kept, labels = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    found = as_drawn(kept, labels, ["a", "b", "c", "d"])
    assert [found[name].value for name in ("precision", "recall", "f1")] == [0.5, 0.5, 0.5]
    assert found["f1"].low <= 0.5 <= found["f1"].high
