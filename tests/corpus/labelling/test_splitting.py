"""Train and test: whole clusters, each class with its share."""

from __future__ import annotations

from bedside_corpus.document import Document
from bedside_corpus.labelling.splitting import split


def document(n: int, text: str | None = None) -> Document:
    own = text or " ".join(f"w{n}x{i}" for i in range(20))
    return Document(f"s/{n}", own, "s", "CC0-1.0", "de", f"s:{n}")


def test_each_class_has_its_share_and_its_draw() -> None:
    documents = [document(n) for n in range(300)]
    labels = {n: n % 10 == 0 for n in range(300) if n % 7}
    places = split(documents, labels, share=0.25, seed=0)
    assert places.keys() == labels.keys()
    for label in (True, False):
        parts = [places[n].part for n in labels if labels[n] is label]
        assert abs(parts.count("test") - 0.25 * len(parts)) <= 1
    assert split(documents, labels, share=0.25, seed=0) == places
    assert split(documents, labels, share=0.25, seed=1) != places


def test_copies_stay_together_whatever_their_labels() -> None:
    copy = " ".join(f"kopie{i}" for i in range(40))
    documents = [document(n) for n in range(40)] + [document(n, copy) for n in range(40, 60)]
    labels = {n: n % 3 == 0 for n in range(60)}
    places = split(documents, labels, share=0.5, seed=0)
    assert len({places[n] for n in range(40, 60)}) == 1
    assert len({places[n].cluster for n in range(60)}) == 41
