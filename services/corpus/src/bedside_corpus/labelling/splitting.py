"""Train and test parts of a labelled set: copies, and a patient's documents, are in one part."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

from bedside_core.clusters import merged
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.labels import Part
from bedside_corpus.document import Document


class Place(NamedTuple):
    """Where a labelled document goes."""

    part: Part
    cluster: str


def split(
    documents: Iterable[Document], labels: Mapping[int, bool], *, share: float, seed: int
) -> dict[int, Place]:
    """Where each labelled document goes.

    Clusters are taken in an order that the seed decides, each class for itself (a cluster is of the
    class that most of its documents have), until the test part has its share of the documents of
    that class.

    Args:
        documents: the sample.
        labels: of those that have one, by their place in the sample.
        share: of the documents, for the test part.
        seed: another one gives another split.
    """
    members = [
        HeldoutText(str(place), document.text, _source(document))
        for place, document in enumerate(documents)
        if place in labels
    ]
    clusters: dict[str, list[int]] = defaultdict(list)
    for member in merged({"labels": members})["labels"]:
        clusters[member.cluster].append(int(member.id))
    wanted = {label: share * count for label, count in Counter(labels.values()).items()}
    places: dict[int, Place] = {}
    for name in sorted(clusters, key=lambda name: sha256(f"{seed}\0{name}".encode()).digest()):
        group = clusters[name]
        label = 2 * sum(labels[place] for place in group) > len(group)
        part: Part = "test" if wanted.get(label, 0) >= len(group) / 2 else "train"
        if part == "test":
            for place in group:
                wanted[labels[place]] -= 1
        places.update((place, Place(part, name)) for place in group)
    return places


def _source(document: Document) -> str:
    """Whom or what others may be from, too."""
    return document.patient or document.document or document.id
