"""What the log says of approved policies, plans and looks at sealed texts; `planning` decides.

Sealed texts wear out: each look spends a part of the error that a house accepts, and what was once
in a development part has been chosen by. Both are counted over the whole log, by the texts'
identities, so that another plan, run or policy finds them as used as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from bedside_core.chain import Entry
from bedside_core.errors import ArtifactError
from bedside_core.kinds.plan import Look, Plan
from bedside_core.kinds.policy import Policy
from bedside_core.registry.withdrawals import POLICY

_Record = TypeVar("_Record", bound=BaseModel)


class Approval(NamedTuple):
    """An entry `approve-policy`: it holds for plans that come after it."""

    seq: int
    time: datetime
    policy: Policy
    reason: str
    by: str

    @classmethod
    def read(cls, entry: Entry) -> Approval:
        members = entry.members
        policy = _record(Policy, entry, members["policy"])
        return cls(entry.seq, _time(entry), policy, members["reason"], members["by"])


class Planned(NamedTuple):
    """An entry `plan`."""

    seq: int
    hash: str
    """Of the entry: what looks and evidence name it by."""
    time: datetime
    plan: Plan

    @classmethod
    def read(cls, entry: Entry) -> Planned:
        return cls(entry.seq, entry.hash, _time(entry), _record(Plan, entry, entry.members))


class Looked(NamedTuple):
    """An entry `look`; whether evidence followed does not matter, the texts were seen."""

    seq: int
    hash: str
    """Of the entry: what evidence names it by."""
    time: datetime
    look: Look

    @classmethod
    def read(cls, entry: Entry) -> Looked:
        return cls(entry.seq, entry.hash, _time(entry), _record(Look, entry, entry.members))


class Ledger:
    """All of a log, or of its first entries: what stood then."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Read them.

        Raises:
            ArtifactError: an entry is of a form that this version does not know.
        """
        self.approvals: dict[str, Approval] = {}
        """By the policy's hash, those that nobody has taken back."""
        self.plans: dict[str, Planned] = {}
        """By the entry's hash, oldest first."""
        self.looks: dict[str, Looked] = {}
        """By the entry's hash, oldest first; one before its plan is none."""
        for entry in entries:
            if entry.type == "approve-policy":
                self.approvals[entry.members["sha256"]] = Approval.read(entry)
            elif entry.type == "withdraw" and entry.members["kind"] == POLICY:
                self.approvals.pop(entry.members["target"], None)
            elif entry.type == "plan":
                self.plans[entry.hash] = Planned.read(entry)
            elif entry.type == "look" and entry.members["plan"] in self.plans:
                self.looks[entry.hash] = Looked.read(entry)

    def newest(self, run: str) -> Planned | None:
        """The plan of a run that holds: the last one."""
        return next((p for p in reversed(self.plans.values()) if p.plan.run == run), None)

    def approval(self, planned: Planned) -> Approval | None:
        """Of a plan's policy, if it came before the plan and stands."""
        found = self.approvals.get(planned.plan.policy_sha256)
        if found is None or found.seq > planned.seq or found.policy != planned.plan.policy:
            return None
        return found

    def looks_of(self, plan: str) -> list[Looked]:
        """The looks of a plan, by its entry's hash."""
        return [looked for looked in self.looks.values() if looked.look.plan == plan]

    def same(self, look: Look) -> Looked | None:
        """The look that this one goes on with: equal in all but its number."""
        asked = look.model_dump(exclude={"number"})
        found = self.looks_of(look.plan)
        return next((x for x in found if x.look.model_dump(exclude={"number"}) == asked), None)

    def looks_at(self) -> dict[str, list[Looked]]:
        """By the identity of each text that was ever looked at, the looks."""
        found: dict[str, list[Looked]] = {}
        for looked in self.looks.values():
            for identity in sealed(self.plans[looked.look.plan].plan):
                found.setdefault(identity, []).append(looked)
        return found

    def spent(self, looks: Iterable[Looked]) -> float:
        """The error that these looks have spent together."""
        return math.fsum(self.plans[looked.look.plan].plan.alpha for looked in looks)

    def development(self) -> set[str]:
        """Identities of the texts that any plan has put into a development part."""
        return set().union(*(development(p.plan) for p in self.plans.values()))


def sealed(plan: Plan) -> set[str]:
    """Identities of a plan's sealed texts, of all its sets."""
    return {identity for planned in plan.sets.values() for identity in planned.sealed}


def development(plan: Plan) -> set[str]:
    """Identities of a plan's development texts, of all its sets."""
    return {identity for planned in plan.sets.values() for identity in planned.development}


def _record(kind: type[_Record], entry: Entry, members: Mapping[str, object]) -> _Record:
    try:
        return kind.model_validate({k: members[k] for k in kind.model_fields if k in members})
    except ValidationError:
        raise ArtifactError(
            f"entry {entry.seq} of the log, {entry.type}: of a form that this version does not "
            "know - use the version that wrote it"
        ) from None


def _time(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry.members["time"])
