"""Two parts of every held-out set and exam: one to develop on, one that stays sealed.

A number that a choice was made by is no evidence for what was chosen. So trainer, merger and the
choice among candidates see the development part alone, and the sealed part is opened by a look that
the registry's log counts. The parts are made of whole clusters (`bedside_core.clusters`), over all
sets together: what is a near copy of a text for development is for development too.

Which clusters these are follows from what the texts say, not from their names, and from earlier
plans: what was for development once is never sealed again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Generic, Literal, NamedTuple

from bedside_core.clusters import M, groups, merged
from bedside_core.config import sha256_of
from bedside_core.errors import InputError
from bedside_core.kinds.plan import IDENTITY_CHARS, PlannedSet


class Parts(NamedTuple, Generic[M]):
    """A set in two parts, each in the order of the set; members have their clusters' names."""

    development: list[M]
    sealed: list[M]


def split(
    sets: Mapping[str, Sequence[M]], earlier: Iterable[PlannedSet] = ()
) -> dict[str, Parts[M]]:
    """Split every set: a third of its clusters, at least one, for development, the others sealed.

    A cluster with a text that was for development in an earlier plan is for development, however
    many there are; one with a sealed text stays sealed, unless nothing else is left to develop on.

    Args:
        sets: by name; each has at least one member.
        earlier: what the registry's log says of earlier plans, whatever their sets were called.

    Raises:
        InputError: nothing is left to seal; names the sets.
    """
    seen: set[str] = set()
    sealed_before: set[str] = set()
    for planned in earlier:
        seen.update(planned.development)
        sealed_before.update(planned.sealed)
    clusters = groups(sets)
    developed = {n for n, group in enumerate(clusters) if _identities(group) & seen}
    kept = {n for n, group in enumerate(clusters) if _identities(group) & sealed_before}
    for name in sorted(sets):
        # In the order of their digests, as `groups` has them: as good as by lot, but repeatable.
        here = [n for n, group in enumerate(clusters) if name in group]
        missing = max(1, round(len(here) / 3)) - len(developed.intersection(here))
        free = [n for n in here if n not in developed | kept]
        developed.update(free[: max(0, missing)])
        if developed.isdisjoint(here):
            developed.update(here[:1])
    return _parts(sets, [(group, n in developed) for n, group in enumerate(clusters)])


def planned_set(kind: Literal["heldout", "exam"], parts: Parts[M]) -> PlannedSet:
    """What a plan says of a set."""
    development, sealed = parts
    return PlannedSet(
        kind=kind,
        sha256=part_digest([*development, *sealed]),
        sealed_sha256=part_digest(sealed),
        development=identities(development),
        sealed=identities(sealed),
        clusters=len({member.cluster for member in sealed}),
    )


def as_planned(
    sets: Mapping[str, Sequence[M]], planned: Mapping[str, PlannedSet]
) -> dict[str, Parts[M]]:
    """The parts of the sets as a plan has them, whatever another split would say.

    Raises:
        InputError: the sets are not those of the plan to the byte; names each that differs.
    """
    parts: dict[str, Parts[M]] = {}
    faults = [
        f"{name}: is not in the plan, or is there alone" for name in sets.keys() ^ planned.keys()
    ]
    for name, members in merged({name: sets[name] for name in sets if name in planned}).items():
        known = set(planned[name].development)
        parts[name] = Parts(
            [member for member in members if member.identity[:IDENTITY_CHARS] in known],
            [member for member in members if member.identity[:IDENTITY_CHARS] not in known],
        )
        if planned_set(planned[name].kind, parts[name]) != planned[name]:
            faults.append(f"{name}: its texts or their clusters were changed after the plan")
    if faults:
        raise InputError(
            "\n".join(f"{fault} - plan anew (`bedside eval plan`)" for fault in sorted(faults))
        )
    return parts


def part_digest(members: Iterable[M]) -> str:
    """SHA-256 (hex) of what is measured, to the byte, and of what is in one cluster with what.

    Names and order do not matter.
    """
    clusters: dict[str, list[str]] = defaultdict(list)
    for member in members:
        clusters[member.cluster].append(sha256(member.content).hexdigest())
    return sha256_of(sorted(sorted(contents) for contents in clusters.values()))


def identities(members: Iterable[M]) -> tuple[str, ...]:
    """The members' identities as a plan writes them, sorted; copies are named once."""
    return tuple(sorted({member.identity[:IDENTITY_CHARS] for member in members}))


def _identities(group: Mapping[str, Sequence[M]]) -> set[str]:
    return {identity for members in group.values() for identity in identities(members)}


def _parts(
    sets: Mapping[str, Sequence[M]], clusters: Iterable[tuple[Mapping[str, Sequence[M]], bool]]
) -> dict[str, Parts[M]]:
    parts: dict[str, Parts[M]] = {name: Parts([], []) for name in sets}
    for group, developed in clusters:
        for name, members in group.items():
            (parts[name].development if developed else parts[name].sealed).extend(members)
    for name, members in sets.items():
        place = {member.id: n for n, member in enumerate(members)}
        for part in parts[name]:
            part.sort(key=lambda member: place[member.id])
    empty = [name for name in sets if not parts[name].sealed]
    if empty:
        raise InputError(
            "\n".join(
                f"{name}: nothing is left to seal, {len(sets[name])} text(s) or item(s) make "
                f"{len({member.cluster for member in parts[name].development})} cluster(s) and all "
                "are for development - add some of other patients or documents"
                for name in empty
            )
        )
    return parts
