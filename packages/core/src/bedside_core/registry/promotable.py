"""What evidence must rest on in the log before its model may be served, and before it is promoted.

An engine asks the first at each start (`basis`): approved policy, then plan, then look, and each of
these as it would have been allowed then, whoever wrote the entry. A promotion asks more, which may
change later without what is served becoming wrong: how old the evidence is, whether the approval
stands, what is promoted now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from bedside_core.artifacts import Artifact
from bedside_core.chain import Entry
from bedside_core.errors import PolicyError
from bedside_core.kinds.evidence import EvidenceHead
from bedside_core.kinds.model import RANDOM_WEIGHTS
from bedside_core.kinds.policy import Policy
from bedside_core.registry import planning
from bedside_core.registry.ledger import Ledger, Looked, Planned

AGAIN = "plan and evaluate again"


class Basis(NamedTuple):
    """The entries that evidence names."""

    planned: Planned
    looked: Looked

    @property
    def policy(self) -> Policy:
        return self.planned.plan.policy


def basis(entries: Sequence[Entry], head: EvidenceHead) -> Basis:
    """The plan and the look of evidence, as the log has them.

    Args:
        entries: the whole log, checked.
        head: of evidence whose signature was checked.

    Raises:
        PolicyError: the log has none such, or not in this order, or they are about something else,
            or would have been refused.
    """
    ledger = Ledger(entries)
    looked, planned = ledger.looks.get(head.look or ""), ledger.plans.get(head.plan)
    if looked is None or planned is None or looked.look.plan != planned.hash:
        raise PolicyError(
            "the evidence names no plan of this registry's log and no look that came after it, so "
            f"nobody knows what was fixed before the texts were seen - {AGAIN}"
        )
    named = (head.candidate, head.base, head.incumbent, head.policy_sha256)
    look = looked.look
    if named != (look.candidate, look.base, look.incumbent, planned.plan.policy_sha256):
        raise PolicyError(
            f"the evidence is about other models or another policy than look {looked.hash[:12]} "
            f"and its plan - {AGAIN}"
        )
    planning.check_plan(Ledger(entries[: planned.seq - 1]), planned.plan)
    planning.check_look(Ledger(entries[: looked.seq - 1]), look)
    return Basis(planned, looked)


def check_standing(entries: Sequence[Entry], found: Basis) -> None:
    """Raises: PolicyError, the approval of the policy was taken back."""
    if Ledger(entries).approval(found.planned) is None:
        raise PolicyError(
            f"the approval of policy {found.policy.name!r} was taken back since - plan and "
            "evaluate again, by one that is approved"
        )


def check_age(entries: Sequence[Entry], found: Basis, evidence: Artifact) -> None:
    """Whether evidence is as young as its policy wants, by the clock and by the log.

    Raises:
        PolicyError: it is older.
    """
    # A clock that was set back makes nothing younger: the log's last entry was not in the future.
    now = max(datetime.now(UTC), datetime.fromisoformat(entries[-1].members["time"]))
    age = now - min(found.looked.time, evidence.manifest.created)
    if age > timedelta(days=found.policy.max_age_days):
        raise PolicyError(
            f"evidence {evidence.digest[:12]} is {age.days} days old, policy "
            f"{found.policy.name!r} takes at most {found.policy.max_age_days} - {AGAIN}"
        )


def check_learned(candidate: Artifact, bases: Iterable[Artifact]) -> None:
    """Whether anything was learned at all before what this run taught.

    Args:
        candidate: the model.
        bases: its base, the base of that, and so on.

    Raises:
        PolicyError: its base has random weights, which only try a config.
    """
    if any(artifact.manifest.facts.get(RANDOM_WEIGHTS) for artifact in (candidate, *bases)):
        raise PolicyError(
            f"model {candidate.digest[:12]} comes of random weights (base.shrink), which only try "
            "a config - run it with the model itself"
        )


def check_base(candidate: Artifact, bases: Sequence[str], head: EvidenceHead) -> None:
    """Whether the candidate was made from the model that it was compared with.

    Args:
        candidate: the model.
        bases: digests of its base, the base of that, and so on.
        head: of the evidence.

    Raises:
        PolicyError: it was not; then being better than it says nothing.
    """
    if head.base not in bases:
        raise PolicyError(
            f"model {candidate.digest[:12]} was compared with {head.base[:12]}, which is not the "
            f"base that it was made from - {AGAIN}, with its own base"
        )
