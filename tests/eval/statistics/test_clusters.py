"""Each cluster counts once, whatever the order of the texts."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_eval.statistics.clusters import cluster_means, cluster_ratios

rows = st.lists(
    st.tuples(st.floats(-1e3, 1e3), st.integers(1, 5000), st.sampled_from("abcdef")),
    min_size=1,
    max_size=40,
)


def test_nats_by_bytes_of_each_cluster() -> None:
    found = cluster_ratios([10, 30, 7], [10, 10, 70], ["p2", "p2", "p1"])
    assert found.tolist() == [0.1, 2.0]


def test_a_patient_with_many_texts_counts_once() -> None:
    assert cluster_means([1] * 9 + [0], ["p1"] * 9 + ["p2"]).tolist() == [1, 0]


@given(rows, st.randoms(use_true_random=False))
def test_the_order_changes_no_bit(found: list[tuple[float, int, str]], chance: random.Random):
    mixed = list(found)
    chance.shuffle(mixed)
    a, b = (cluster_ratios(*zip(*each, strict=True)) for each in (found, mixed))
    assert np.array_equal(a, b)


def test_unequal_lengths_are_a_bug() -> None:
    with pytest.raises(ValueError, match="zip"):
        cluster_means([1.0], ["a", "b"])
