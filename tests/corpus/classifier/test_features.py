"""Hashed n-grams: the same whatever the layout, of unit length, flat for any length."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bedside_corpus.classifier import features as module
from bedside_corpus.classifier.features import features

SIZES, BITS = (3, 4, 5), 18


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_unit_length_sorted_and_below_the_hash(text):
    found = features(text, SIZES, BITS)
    assert (np.diff(found.indices) > 0).all()
    assert ((found.indices >= 0) & (found.indices < 1 << BITS)).all()
    if len(found.values):
        assert np.isclose(np.square(found.values).sum(), 1, atol=1e-5)


def test_layout_and_case_change_nothing():
    one, other = (features(t, SIZES, BITS) for t in ("EKG  unauffällig\n", "ekg unauffällig"))
    assert (one.indices == other.indices).all()
    assert (one.values == other.values).all()


def test_a_stored_model_means_the_same_tomorrow():
    # Computed once; another hash would make every stored weight another feature's.
    assert features("EKG", (5,), 18).indices.tolist() == [113905]


def test_pieces_of_a_long_text_are_added_up(monkeypatch):
    text = "Kreatinin 1,2 mg/dl, EKG unauffällig. " * 40
    whole = features(text, SIZES, BITS)
    monkeypatch.setattr(module, "PIECE", 100)
    parts = features(text, SIZES, BITS)
    known = set(parts.indices.tolist())
    # What stands at a border counts twice, which is little; nothing is lost.
    assert set(whole.indices.tolist()) <= known
    shared = np.isin(parts.indices, whole.indices)
    assert float(parts.values[shared] @ whole.values) > 0.97
