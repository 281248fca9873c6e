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

    @classmethod
    def read(cls, entry: Entry) -> Promotion:
        members = entry.members
        # An adopted one was made before there was this log; see `adoption`.
        moment = datetime.fromisoformat(members.get("adopted") or members["time"])
        return cls(moment, members["type"], members["model"], members["evidence"])


def promotions_of(entries: Iterable[Entry]) -> list[Promotion]:
    """Every promotion and rollback among them, in their order."""
    return [Promotion.read(entry) for entry in entries if entry.type in ("promote", "rollback")]


def standing(promotions: list[Promotion]) -> list[Promotion]:
    """What each rollback could go back to: the promotions that none has undone yet."""
    stack: list[Promotion] = []
    for past in promotions:
        if past.action == "promote":
            stack.append(past)
            continue
        del stack[-1:]
        while stack and (stack[-1].model, stack[-1].evidence) != (past.model, past.evidence):
            stack.pop()
    return stack
