"""The linear model: it learns, heeds soft labels, and is the same after storing and anywhere."""

import numpy as np
import pytest

from bedside_core.errors import ArtifactError
from bedside_corpus.classifier.ngram import WEIGHTS, NgramModel


def column(values):
    return np.array(values, np.float32).reshape(-1, 1)


@pytest.fixture(scope="module")
def model(texts):
    documents, labels = texts(60, 60)
    return NgramModel.fit(documents, column(labels), seed=0)


def test_it_tells_texts_that_it_never_saw(model):
    scores = model.score(["EKG unauffällig, Kreatinin erhöht", "Teig backen und servieren", ""])
    assert scores[0, 0] > 0.5 > scores[1, 0]
    assert 0 < scores[2, 0] < 1  # without an n-gram, the bias alone


def test_a_score_depends_on_its_document_alone(model, texts):
    documents, _ = texts(5, 5)
    together = model.score(documents)
    assert (together == np.concatenate([model.score([one]) for one in documents])).all()


def test_training_and_storing_are_the_same_to_the_byte(model, texts, tmp_path):
    documents, labels = texts(60, 60)
    again = NgramModel.fit(documents, column(labels), seed=0)
    stored = []
    for name, one in (("a", model), ("b", again)):
        (tmp_path / name).mkdir()
        one.save(tmp_path / name)
        stored.append((tmp_path / name / WEIGHTS).read_bytes())
    assert stored[0] == stored[1]
    assert (NgramModel.load(tmp_path / "a").score(documents) == model.score(documents)).all()


def test_a_soft_label_weighs_less_than_a_hard_one(texts):
    documents, labels = texts(40, 40)
    soft = [0.6 if label else 0.0 for label in labels]
    hard, less = (NgramModel.fit(documents, column(y), 0).score(documents) for y in (labels, soft))
    assert 0.5 < less[:40].mean() < hard[:40].mean() - 0.1


def test_a_pickle_is_never_loaded(tmp_path):
    np.savez(tmp_path / WEIGHTS, weights=np.array([{"a": 1}], object), bias=np.zeros(1))
    with pytest.raises(ArtifactError, match="train the classifier again"):
        NgramModel.load(tmp_path)
