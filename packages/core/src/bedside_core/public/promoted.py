"""A promoted model with all that the public formats say of it, read from the registry once.

Tested in tests/core/public/test_write.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bedside_core.artifacts import Artifact, Kind
from bedside_core.chain import Entry
from bedside_core.config import sha256_of
from bedside_core.errors import ArtifactError
from bedside_core.kinds.evidence import EVIDENCE, EvidenceHead, read_evidence
from bedside_core.kinds.plan import Plan
from bedside_core.registry.ledger import Planned
from bedside_core.registry.promotions import Promotion
from bedside_core.registry.registry import Registry


@dataclass(frozen=True)
class Promoted:
    """A model, the decision for it, and what it came from."""

    model: Artifact
    evidence: Artifact
    head: EvidenceHead
    content: dict[str, Any]
    """The whole of `evidence.json`."""
    entry: Entry
    """Of the registry's log."""
    plan: Plan | None
    """What was fixed before the texts were seen."""
    lineage: tuple[Artifact, ...]
    """The model first, then all that it was made from, each once."""

    @property
    def time(self) -> datetime:
        """When it was promoted."""
        return Promotion.read(self.entry).time

    @property
    def policy(self) -> dict[str, Any]:
        """The plan's; of an adopted promotion, which had none, what its evidence says."""
        if self.plan is not None:
            return self.plan.policy.model_dump(mode="json")
        return dict(self.content.get("policy", {}))

    @property
    def served(self) -> dict[str, Any]:
        """`kinds.serving.ServedIdentity` of the model."""
        return dict(self.content.get("served") or {})

    @property
    def policy_name(self) -> str:
        return str(self.policy.get("name", "policy"))

    @property
    def policy_sha256(self) -> str:
        """As `kinds.policy.Policy` counts it."""
        return sha256_of(self.policy)

    def of_kind(self, kind: Kind) -> list[Artifact]:
        """Those of the lineage, nearest first."""
        return [artifact for artifact in self.lineage if artifact.kind == kind]


def read_promoted(registry: Registry, promotion: Promotion) -> Promoted:
    """Read what a decision of the log was about.

    Raises:
        ArtifactError: it is not in the log, or evidence or a manifest is not what was written.
    """
    entries = registry.entries()
    decisions = (e for e in reversed(entries) if e.type in ("promote", "rollback"))
    entry = next((e for e in decisions if Promotion.read(e) == promotion), None)
    if entry is None:
        raise ArtifactError(f"the log has no promotion of {promotion.model[:12]} like this one")
    model, evidence = registry.get(promotion.model), registry.get(promotion.evidence)
    head = read_evidence(evidence, registry.keyring())
    content = json.loads(evidence.file(EVIDENCE).read_bytes())
    plans = (e for e in entries if e.type == "plan" and e.hash == content.get("plan"))
    plan = next((Planned.read(e).plan for e in plans), None)
    lineage = {a.digest: a for _, _, a in registry.ancestors(model)}
    return Promoted(model, evidence, head, content, entry, plan, tuple(lineage.values()))
