"""Clusters: texts or exam items that are not independent of each other, so that they count once.

Two belong together if they share a source (a patient, a document: the house says so) or if one of
them is a near copy of the other by `bedside_core.overlap`, in whatever set. Both relations are
followed to their end: copies of a copy are one cluster.

Not covered: near copies that share no run of words with fewer than `WINDOW` others, none of which
is near both: two texts that are put together from other sets of phrases alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Generic, Protocol, Self, TypeVar

from bedside_core.matching import canonical
from bedside_core.overlap import NEAR, RUN, covered, runs

WINDOW = 8
"""With how many others a text is compared for one run of words that they share. A phrase of every
question of an exam would else make every pair of questions a candidate."""

_NO_NAME = frozenset(
    ("", "-", ".", "?", "na", "n/a", "#na", "#n/a", "<na>", "nan", "-nan", "none", "null", "nil")
)
"""What spreadsheets and data frames write where a value is missing, in lower case."""


class Member(Protocol):
    """A held-out text or an exam item."""

    @property
    def id(self) -> str:
        """Its name in its set."""

    @property
    def cluster(self) -> str:
        """The name of its source, which others of its set may share."""

    @property
    def wordings(self) -> list[str]:
        """What makes another text or item a copy of it."""

    @property
    def identity(self) -> str:
        """SHA-256 (hex) that all copies of it share, whatever their spacing and case."""

    @property
    def content(self) -> bytes:
        """All that is measured, to the byte."""

    def of_cluster(self, cluster: str) -> Self:
        """The same in another cluster."""


M = TypeVar("M", bound=Member)
K = TypeVar("K", bound=Hashable)
Name = tuple[str, int]
"""Of a member: its set and its position there."""


def is_name(text: str) -> bool:
    """Whether this names a source, and does not stand for a missing one: those would be one."""
    return text.strip().casefold() not in _NO_NAME


def groups(sets: Mapping[str, Sequence[M]]) -> list[dict[str, list[M]]]:
    """The clusters over all sets together: each as its members by set, with one name in each set.

    The name is the first, in order, of those that its members brought; no other cluster of that set
    has it. Neither names nor clusters depend on the order of the members.
    """
    union: DisjointSets[Name] = DisjointSets()
    first: dict[tuple[str, str], Name] = {}
    members = {(of, n): member for of, group in sets.items() for n, member in enumerate(group)}
    for name, member in members.items():
        union.join(name, first.setdefault((name[0], member.cluster), name))
    _join_copies(members, union)
    found: dict[Name, dict[str, list[M]]] = defaultdict(lambda: defaultdict(list))
    for name, member in members.items():
        found[union.root(name)][name[0]].append(member)
    return sorted((_named(group) for group in found.values()), key=group_digest)


def merged(sets: Mapping[str, Sequence[M]]) -> dict[str, list[M]]:
    """The same sets in the same order, each member with the name of its cluster over all sets."""
    names = {
        (of, member.id): member.cluster
        for group in groups(sets)
        for of, members in group.items()
        for member in members
    }
    return {of: [m.of_cluster(names[of, m.id]) for m in members] for of, members in sets.items()}


def group_digest(group: Mapping[str, Iterable[Member]]) -> str:
    """SHA-256 (hex) of what a cluster holds; no name goes into it."""
    identities = {member.identity for members in group.values() for member in members}
    return sha256("\n".join(sorted(identities)).encode()).hexdigest()


def _named(group: Mapping[str, Sequence[M]]) -> dict[str, list[M]]:
    names = {of: min(member.cluster for member in members) for of, members in group.items()}
    # A text may be called "na"; as the name of a cluster that would not be read again.
    names = {of: name if is_name(name) else f"cluster {name}" for of, name in names.items()}
    return {of: [m.of_cluster(names[of]) for m in members] for of, members in group.items()}


def _join_copies(members: Mapping[Name, Member], union: DisjointSets[Name]) -> None:
    """Join those of which one has the identity of the other, or is a near copy of it."""
    different: dict[str, Name] = {}
    for name, member in members.items():
        # A text that is all signs has no words to compare, but an identity.
        union.join(name, different.setdefault(member.identity, name))
    # Because of `WINDOW` in an order that no name decides.
    worded = [
        (name, canonical(text).split())
        for _, name in sorted(different.items())
        for text in members[name].wordings
    ]
    owners, texts = [name for name, _ in worded], [words for _, words in worded]
    for one, other in _contained(texts):
        union.join(owners[one], owners[other])
    for one, other in _candidates(texts):
        apart = union.root(owners[one]) != union.root(owners[other])
        if apart and _is_near(texts[one], texts[other]):
            union.join(owners[one], owners[other])


def _contained(texts: Sequence[Sequence[str]]) -> Iterator[tuple[int, int]]:
    """Texts of fewer than `RUN` words, and those that hold them as a whole."""
    for size in {len(words) for words in texts if 0 < len(words) < RUN}:
        short = {next(runs(words, size)): n for n, words in enumerate(texts) if len(words) == size}
        for n, words in enumerate(texts):
            yield from ((short[run], n) for run in runs(words, size) if run in short)


def _candidates(texts: Sequence[Sequence[str]]) -> set[tuple[int, int]]:
    """Pairs of texts with a run of `RUN` words in common, of each run those `WINDOW` apart."""
    places: dict[int, list[int]] = defaultdict(list)
    for n, words in enumerate(texts):
        for run in set(runs(words, RUN)):
            places[run].append(n)
    return {
        (one, other)
        for sharing in places.values()
        for position, one in enumerate(sharing)
        for other in sharing[position + 1 : position + 1 + WINDOW]
    }


def _is_near(one: Sequence[str], other: Sequence[str]) -> bool:
    """As `OverlapIndex` would say of two texts of at least `RUN` words, in either direction."""
    return max(_share(one, other), _share(other, one)) >= NEAR


def _share(text: Sequence[str], document: Sequence[str]) -> float:
    known = set(runs(document, RUN))
    found = ((offset, RUN) for offset, run in enumerate(runs(text, RUN)) if run in known)
    return covered(found) / len(text)


class DisjointSets(Generic[K]):
    """Disjoint sets with path halving (Tarjan and van Leeuwen 1984)."""

    def __init__(self) -> None:
        self._parents: dict[K, K] = {}

    def root(self, name: K) -> K:
        """The member that stands for all that were joined with this one."""
        parents = self._parents
        while parents.setdefault(name, name) != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name

    def join(self, one: K, other: K) -> None:
        """Make one set of the two that they are in."""
        self._parents[self.root(one)] = self.root(other)
