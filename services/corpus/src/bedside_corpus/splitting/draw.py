"""Which documents a held-out set has: whole patients, by lot, in the proportions of the whole.

Documents of one patient, and those of one source document, are drawn together. The order of the
lot is a hash of seed and texts, so that it depends neither on names nor on the order of files.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from hashlib import sha256
from typing import NamedTuple

from bedside_core.clusters import DisjointSets
from bedside_core.errors import InputError
from bedside_corpus.splitting.config import HeldoutSet


class Candidate(NamedTuple):
    """A document that may be drawn."""

    sha256: str
    """Of its text; no other document has the same."""
    source: str
    patient: str | None
    document: str | None
    original: str | None
    """The name of its text as it was read, where it has a trace."""
    values: Mapping[str, str]
    """By column: what strata may be made of."""


class Drawn(NamedTuple):
    """A document of a set."""

    candidate: Candidate
    cluster: str
    """Equal for all that were drawn together: the patient's name, or the document's own."""


def draw(
    candidates: Sequence[Candidate], sets: Mapping[str, HeldoutSet], lot: str
) -> dict[str, list[Drawn]]:
    """Draw every set, one after the other; what is drawn is not drawn again.

    Args:
        candidates: the documents.
        sets: by name.
        lot: with another one, others are drawn.

    Returns:
        By set, in the order of the candidates.

    Raises:
        InputError: there are not enough documents for a set, or none would be left to train on.
    """
    units = _units(candidates)
    left = set(units)
    drawn: dict[str, list[Drawn]] = {}
    for name, asked in sets.items():
        taken = _draw_one(name, asked, {key: units[key] for key in sorted(left)}, lot)
        left -= taken.keys()
        names = {one.sha256: key for key, group in taken.items() for one in group}
        drawn[name] = [
            Drawn(one, _cluster(units[names[one.sha256]], one))
            for one in candidates
            if one.sha256 in names
        ]
    if not left:
        raise InputError("corpus.split: the sets would take every patient - ask for smaller ones")
    return drawn


def stratum(candidate: Candidate, columns: Sequence[str]) -> str:
    """What facts call a stratum: `letters/de`."""
    return "/".join(candidate.values.get(column) or "-" for column in columns)


def _units(candidates: Sequence[Candidate]) -> dict[str, list[Candidate]]:
    """Documents that must stay together, by the least hash of their texts."""
    joined: DisjointSets[tuple[str, str]] = DisjointSets()
    for one in candidates:
        for kind, name in (("patient", one.patient), ("document", one.document)):
            if name is not None:
                joined.join(("text", one.sha256), (kind, name))
    units: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for one in candidates:
        units[joined.root(("text", one.sha256))].append(one)
    return {min(one.sha256 for one in group): group for group in units.values()}


def _cluster(unit: Sequence[Candidate], candidate: Candidate) -> str:
    patients = sorted(one.patient for one in unit if one.patient is not None)
    documents = sorted(one.document for one in unit if one.document is not None)
    if patients:
        return f"patient-{patients[0][:16]}"
    return f"document-{documents[0][:16]}" if documents else candidate.sha256[:16]


def _draw_one(
    name: str, asked: HeldoutSet, units: Mapping[str, Sequence[Candidate]], lot: str
) -> dict[str, list[Candidate]]:
    """The drawn units, with those of their documents that the set takes."""
    fitting = {
        key: found
        for key, unit in units.items()
        if (found := [one for one in unit if not asked.sources or one.source in asked.sources])
    }
    there = sum(map(len, fitting.values()))
    size = asked.size if isinstance(asked.size, int) else max(1, round(asked.size * there))
    if size > there:
        raise InputError(
            f"corpus.split.sets.{name}: {size} documents are asked for, and there are {there} to "
            "draw from - ask for fewer, or for other sources"
        )
    strata: dict[str, list[str]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for key, found in fitting.items():
        of = Counter(stratum(one, asked.stratify_by) for one in found)
        # A patient is in the stratum of most of his texts, with all of them.
        value = min(of, key=lambda value: (-of[value], value))
        strata[value].append(key)
        counts[value] += len(found)
    taken: dict[str, list[Candidate]] = {}
    for value, quota in quotas(counts, size).items():
        number = 0
        for key in sorted(strata[value], key=lambda key: _order(lot, name, key)):
            if number >= quota:
                break
            taken[key] = fitting[key]
            number += len(fitting[key])
    return taken


def quotas(counts: Mapping[str, int], size: int) -> dict[str, int]:
    """Divide `size` in the proportions of the counts, by the largest remainders (Hamilton)."""
    total = sum(counts.values())
    exact = {value: Fraction(size * count, total) for value, count in sorted(counts.items())}
    found = {value: int(share) for value, share in exact.items()}
    missing = size - sum(found.values())
    for value in sorted(exact, key=lambda value: (found[value] - exact[value], value))[:missing]:
        found[value] += 1
    return found


def _order(lot: str, name: str, key: str) -> str:
    return sha256(f"{lot}\0{name}\0{key}".encode()).hexdigest()
