"""Train and test parts of a labelled set: copies, and a patient's documents, are in one part.

Copies are found by MinHash (`engine.minhash`), so that a quarter of a million documents take 150 MB
and a few minutes. Whether their values agree does not matter here: letters of one template teach
and test the same.

Not covered: a short text that stands in a much longer one, unlike in `bedside_core.clusters`, which
holds every word of all texts in memory.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedside_core.clusters import DisjointSets
from bedside_core.kinds.labels import Part
from bedside_corpus.document import Document
from bedside_corpus.engine.minhash import Bands, minima, similarity

ALIKE = 0.6
"""Jaccard similarity of the runs of words from which two documents are together. A duplicate needs
more; here a pair that is taken for one costs nothing."""
WINDOW = 4
"""With how many others of a band a text is compared: what thousands share makes no candidates."""
COMPARED = 65_536
"""Pairs at once, 70 MB of signatures."""


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
    clusters: dict[str, list[int]] = defaultdict(list)
    for place, name in clustered(documents, labels.keys()).items():
        clusters[name].append(place)
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


def clustered(documents: Iterable[Document], wanted: Iterable[int]) -> dict[int, str]:
    """The cluster of each of these documents, named after the patient or id of its first.

    Args:
        documents: the sample.
        wanted: places of documents in it.
    """
    chosen = frozenset(wanted)
    union: DisjointSets[int] = DisjointSets()
    names: dict[int, str] = {}
    first: dict[str, int] = {}
    signed: list[int] = []
    signatures: list[NDArray[np.uint32]] = []
    for place, document in enumerate(documents):
        if place not in chosen:
            continue
        names[place] = document.patient or document.document or document.id
        for shared in (document.patient, document.document, document.matching_sha256):
            if shared is not None:
                union.join(first.setdefault(shared, place), place)
        signature = minima(document.form)
        if signature is not None:
            signed.append(place)
            signatures.append(signature)
    if signatures:
        for one, other in _alike(np.array(signatures)):
            union.join(signed[one], signed[other])
    of_root: dict[int, str] = {}
    return {place: of_root.setdefault(union.root(place), name) for place, name in names.items()}


def _alike(signatures: NDArray[np.uint32]) -> Iterable[tuple[int, int]]:
    """Pairs of rows that are alike, among those that share a band and are `WINDOW` apart there."""
    bands = Bands.reaching(ALIKE)
    for keys in bands.keys(signatures).T:
        order = np.argsort(keys, kind="stable")
        for apart in range(1, WINDOW + 1):
            (same,) = np.nonzero(keys[order][apart:] == keys[order][:-apart])
            for start in range(0, len(same), COMPARED):
                one, other = (order[same[start : start + COMPARED] + step] for step in (0, apart))
                alike = similarity(signatures[one], signatures[other]) >= ALIKE
                yield from zip(one[alike].tolist(), other[alike].tolist(), strict=True)
