"""Items that ask the same: what a published exam holds twice, and what it answers in two ways.

FrenchMedMCQA and CasiMedicos have both. Nothing is dropped in silence: a rule that the operator
names says what becomes of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from bedside_core.errors import InputError
from bedside_core.kinds.exam import ExamItem

Equal = Literal["keep", "first"]
"""`keep`: items that ask the same stay, and count once, as one cluster; `first`: only the first."""
Contradicting = Literal["refuse", "drop"]
"""`refuse`: nothing is written; `drop`: no item of a question with two keys is taken."""
_SHOWN = 6
_SAFE = re.compile(r"[\w.:-]{1,60}")


class Resolved(NamedTuple):
    """What is left, and what there was."""

    items: list[ExamItem]
    equal: int
    """Items that ask what an earlier one asks, with the same key."""
    contradicting: int
    """Items that ask what another one asks, with another key."""
    dropped: int


def resolve(
    items: Sequence[ExamItem], *, equal: Equal = "keep", contradicting: Contradicting = "refuse"
) -> Resolved:
    """Apply the rules.

    Raises:
        InputError: keys contradict each other, and no rule says what becomes of them.
    """
    groups: dict[str, list[ExamItem]] = {}
    for item in items:
        groups.setdefault(item.identity, []).append(item)
    disputed = {
        identity for identity, group in groups.items()
        if any(one.contradicts(other) for one in group for other in group)
    }  # fmt: skip
    count = sum(len(groups[identity]) for identity in disputed)
    if disputed and contradicting == "refuse":
        raise InputError(
            f"{count} item(s) ask what another one asks, and the keys contradict each other: "
            f"{_named([item for identity in disputed for item in groups[identity]])} - correct the "
            "files, or leave them out by rule: --contradicting drop"
        )
    kept = [item for item in items if item.identity not in disputed]
    repeats = len(kept) - len({item.identity for item in kept})
    if equal == "first":
        first = {item.identity: item.id for item in reversed(kept)}
        kept = [item for item in kept if first[item.identity] == item.id]
    return Resolved(kept, repeats, count, len(items) - len(kept))


def _named(items: Sequence[ExamItem]) -> str:
    """Ids that look like ids: those of strangers may be anything."""
    safe = [item.id for item in items if _SAFE.fullmatch(item.id)][:_SHOWN]
    return ", ".join(safe) + (", ..." if len(items) > len(safe) else "")
