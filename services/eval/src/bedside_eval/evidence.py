"""`evidence.json`: what was asked, what every model answered, and what follows from it.

Tested in tests/eval/test_conclude.py.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, ValidationError

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError
from bedside_core.kinds.evidence import EVIDENCE, Verdict
from bedside_core.kinds.policy import Policy
from bedside_core.kinds.serving import ServedIdentity
from bedside_eval.config import House
from bedside_eval.judging.records import Judging
from bedside_eval.records import (
    Contamination,
    EvidencePart,
    Finding,
    ModelScores,
    ModelSummary,
    PairDifference,
    Role,
    Subgroup,
)
from bedside_models.scores import Estimand

SCHEMA_VERSION: Literal[4] = 4
"""4 has several right answers, and measures that are no likelihood; 3 names plan and look, judges
in bits per byte by cluster and finding by finding; 2 judged in nats per token and text by
text."""


class Setting(EvidencePart):
    """What the models had in common."""

    inputs: dict[str, str]
    """SHA-256 of every held-out text and of every exam file."""
    clusters: dict[str, tuple[int, ...]]
    """By `heldout/NAME` and `exam/NAME`: the number of each text's cluster, in their order."""
    excluded: dict[str, tuple[int, ...]]
    """Clusters that stand in a corpus of the lineage, so that no finding rests on them."""
    contamination: Contamination
    estimand: Estimand
    """What every likelihood in this file is of; trainer and merger name theirs in the same way."""
    task: dict[str, Any]
    """How the questions were put: prompt template, lengths, versions, device."""


class Evidence(EvidencePart):
    """The whole of `evidence.json`; equal inputs give equal bytes.

    Its only times are the days of two entries of the log.
    """

    schema_version: Literal[4] = SCHEMA_VERSION
    candidate: str
    """Digest of the model that the verdict is about."""
    base: str
    incumbent: str | None
    """Digest of what was promoted, if that was another model than the base and the candidate."""
    reference: str | None
    verdict: Verdict
    reasons: tuple[str, ...]
    scope: Literal["demo", "house"]
    plan: str
    """Hash of the plan's entry in the registry's log."""
    look: str | None
    """Hash of the look's entry; None where nothing was looked at."""
    policy_sha256: str
    served: ServedIdentity
    """What the candidate is when it is served: the engine serves nothing else as proven."""
    policy: Policy
    confidence: float
    """Of every interval in this file: one look's share."""
    setting: Setting | None
    models: dict[Role, ModelSummary]
    differences: tuple[PairDifference, ...]
    findings: tuple[Finding, ...]
    unmeasured_groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Planned groups of exams that have no average, with the sets that were not measured."""
    results: dict[Role, ModelScores]
    """Per text and per question."""
    subgroups: tuple[Subgroup, ...] = ()
    """The worst first. No verdict rests on them."""
    judging: Judging | None = None
    """None where no judge was asked."""
    house: House = House()
    planned_on: str | None = None
    """The day of the plan's entry (UTC), as YYYY-MM-DD; evidence of earlier versions has none."""
    looked_on: str | None = None
    """The day of the look's entry."""

    def to_json(self) -> bytes:
        """The bytes that are hashed into the manifest, which is signed."""
        content = self.model_dump(mode="json")
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        return text.encode() + b"\n"


def load_evidence(artifact: Artifact) -> Evidence:
    """Read evidence whose signature was checked before.

    Raises:
        ArtifactError: it has a schema that this version does not know.
    """
    try:
        return Evidence.model_validate_json(artifact.file(EVIDENCE).read_bytes())
    except ValidationError:
        raise ArtifactError(
            f"evidence {artifact.digest[:12]}: {EVIDENCE} has a schema that this version does not "
            "know - run `bedside eval run` again"
        ) from None
