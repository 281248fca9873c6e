"""Train and test: whole clusters, each class with its share."""

from __future__ import annotations

from dataclasses import replace

from bedside_corpus.document import Document
from bedside_corpus.labelling.splitting import clustered, split


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


def test_changed_copies_templates_and_patients() -> None:
    body = " ".join(f"satz{i}" for i in range(80))
    letter = "Frau {0} kam am {0}.3. wegen Hypertonie und erhielt Ramipril {0} mg. " + body
    documents = [
        *(document(n, letter.format(n)) for n in range(4)),
        *(document(n) for n in range(4, 8)),
        *(replace(document(n), patient="p") for n in (8, 9)),
        *(document(10, "Kurz."), document(11, "kurz")),
    ]
    found = clustered(documents, range(12))
    assert {found[n] for n in range(4)} == {"s/0"}
    assert len({found[n] for n in range(4, 8)}) == 4
    assert (found[8], found[9]) == ("p", "p")
    assert (found[10], found[11]) == ("s/10", "s/10")
