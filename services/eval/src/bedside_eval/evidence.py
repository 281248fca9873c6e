"""`evidence.json`: what was asked, what every model answered, and what follows from it.

Tested in tests/eval/test_conclude.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import ValidationError

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError
from bedside_core.kinds.evidence import EVIDENCE, Verdict
from bedside_eval.policy import Policy
from bedside_eval.records import (
    Contamination,
    EvidencePart,
    ModelScores,
    ModelSummary,
    PairDifference,
    Role,
)
from bedside_models.scores import Estimand

SCHEMA_VERSION: Literal[2] = 2
"""2 names the estimand and counts contamination per set; 1 had each text's nats per token beside
their sum, and one number of texts found in the corpus."""
JUDGED: tuple[Role, Role] = ("merged", "base")
"""The comparison that the verdict rests on."""


class Setting(EvidencePart):
    """What the three models had in common."""

    inputs: dict[str, str]
    """SHA-256 of the policy, of every held-out text and of every exam file."""
    contamination: Contamination
    tokenizer_sha256: str
    estimand: Estimand
    """What every perplexity in this file is of; trainer and merger name theirs in the same way."""
    task: dict[str, Any]
    """How the questions were put: prompt template, lengths, versions."""


class Evidence(EvidencePart):
    """The whole of `evidence.json`; holds no time, so equal inputs give equal bytes."""

    schema_version: Literal[2] = SCHEMA_VERSION
    candidate: str
    """Digest of the merged model, which the verdict is about."""
    base: str
    verdict: Verdict
    exploratory: bool = False
    """Whether the answers were known before policy and bootstrap were chosen; cannot promote."""
    reasons: tuple[str, ...]
    checkpoint: str
    policy: Policy
    confidence: float
    """Of every interval in this file."""
    setting: Setting
    bootstrap: dict[str, int]
    """`seed` and number of `samples`."""
    models: dict[Role, ModelSummary]
    differences: tuple[PairDifference, ...]
    results: dict[Role, ModelScores]
    """Per text and per question."""

    def to_json(self) -> bytes:
        """The bytes that are signed."""
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


def judged(differences: Iterable[PairDifference]) -> PairDifference:
    """The comparison that the verdict rests on."""
    return next(d for d in differences if (d.candidate, d.reference) == JUDGED)
