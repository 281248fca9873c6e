"""What the log says was promoted and rolled back; `Registry` decides.

Tested in tests/core/registry/test_registry.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from bedside_core.chain import Entry


class Promotion(NamedTuple):
    """What a promotion or a rollback says in the log."""

    time: datetime
    action: Literal["promote", "rollback"]
    model: str
    evidence: str
    by: str
    """The account of the machine that did it."""
    reason: str
    """Empty in an adopted one."""
    seq: int
    """The number of the entry."""
    scope: Literal["demo", "house"]
    """Of the policy: whether it was a demo's."""

    @classmethod
    def read(cls, entry: Entry) -> Promotion:
        members = entry.members
        # An adopted one was made before there was this log; see `adoption`.
        moment = datetime.fromisoformat(members.get("adopted") or members["time"])
        about = (members["model"], members["evidence"], members["by"])
        why = (members.get("reason", ""), entry.seq, members.get("scope", "house"))
        return cls(moment, members["type"], *about, *why)


class History(NamedTuple):
    """What a house's promotions and rollbacks leave."""

    standing: list[Promotion]
    """The promotions that no rollback has undone yet: what the next ones could go back to."""
    left: dict[str, Promotion]
    """By model: the rollback that left it, if nobody has promoted or rolled back to it since."""


def promotions_of(entries: Iterable[Entry]) -> list[Promotion]:
    """Every promotion and rollback among them, in their order."""
    return [Promotion.read(entry) for entry in entries if entry.type in ("promote", "rollback")]


def history(promotions: Iterable[Promotion]) -> History:
    """Replay them."""
    standing: list[Promotion] = []
    left: dict[str, Promotion] = {}
    for past in promotions:
        if past.action == "promote":
            standing.append(past)
        else:
            undone = [standing.pop()] if standing else []
            while standing and not _same(standing[-1], past):
                undone.append(standing.pop())
            left |= {promotion.model: past for promotion in undone}
        left.pop(past.model, None)
    return History(standing, left)


def _same(one: Promotion, other: Promotion) -> bool:
    return (one.model, one.evidence) == (other.model, other.evidence)
