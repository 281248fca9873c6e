"""Signatures are the same everywhere, and say how alike two texts are."""

from __future__ import annotations

import random

import numpy as np
import pytest

from bedside_corpus.engine import minhash
from bedside_corpus.engine.minhash import HASHES, RECALL, RUN, Bands, minima, similarity


def words(number: int, seed: int) -> list[str]:
    drawn = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyzäöüßé"
    return ["".join(drawn.choices(letters, k=drawn.randint(1, 14))) for _ in range(number)]


def jaccard(one: list[str], other: list[str]) -> float:
    a, b = ({tuple(x[n : n + RUN]) for n in range(len(x) - RUN + 1)} for x in (one, other))
    return len(a & b) / len(a | b)


def test_signatures_do_not_depend_on_process_or_library() -> None:
    found = minima("die patientin wurde am 3 5 in gutem allgemeinzustand entlassen")
    assert found is not None
    assert found.dtype == np.uint32
    assert found[:4].tolist() == [109500046, 995349693, 1300068200, 25923949]
    bands = Bands(21, 6).keys(found[None])
    assert bands[0, :2].tolist() == [3969895600274785037, 12888603186045365734]


@pytest.mark.parametrize("length", [30, 200, 1500])
def test_the_estimate_is_as_good_as_its_standard_error(length: int) -> None:
    errors = []
    for seed in range(40):
        one = words(length, seed)
        other = list(one)
        for place in random.Random(seed).sample(range(length), 1 + seed * length // 400):
            other[place] = "anders"
        a, b = minima(" ".join(one)), minima(" ".join(other))
        assert a is not None and b is not None
        true = jaccard(one, other)
        error = similarity(a[None], b[None])[0] - true
        errors.append(error / max(0.01, (true * (1 - true) / HASHES) ** 0.5))
    assert abs(np.mean(errors)) < 0.5
    assert 0.7 < np.std(errors) < 1.3


def test_a_long_text_is_hashed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    form = " ".join(words(1700, 1))
    expected = minima(form)
    for piece in (1, 7, 100_000):
        monkeypatch.setattr(minhash, "_PIECE", piece)
        assert np.array_equal(minima(form), expected)


def test_a_text_without_a_run_of_words_has_no_signature() -> None:
    assert minima("") is None
    assert minima("kein hinweis auf fraktur") is None
    assert minima("kein hinweis auf eine fraktur") is not None


@pytest.mark.parametrize("wanted", [0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_bands_find_nearly_all_pairs_at_the_wanted_similarity(wanted: float) -> None:
    bands = Bands.reaching(wanted)
    assert bands.number * bands.rows <= HASHES
    assert 1 - (1 - wanted**bands.rows) ** bands.number >= RECALL
    drawn = np.random.default_rng(7)
    one = drawn.integers(0, 1 << 32, (2000, HASHES), np.uint32)
    other = np.where(
        drawn.random(one.shape) < wanted, one, drawn.integers(0, 1 << 32, one.shape, np.uint32)
    )
    hit = (bands.keys(one) == bands.keys(other)).any(axis=1)
    assert hit.mean() >= RECALL - 0.01
    unlike = (bands.keys(one) == bands.keys(one[::-1])).any(axis=1)
    assert not unlike.any()


def test_bands_of_one_text_have_different_keys() -> None:
    assert len(np.unique(Bands(21, 6).keys(np.zeros((1, HASHES), np.uint32) + 5))) == 21
