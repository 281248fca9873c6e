"""What the registry and the engine must know of an evidence artifact: subject, verdict, signature.

The evaluation service writes more into `evidence.json` (per-item results, intervals); this module
reads the part that promotion rests on, after the signature over the whole file was checked.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError
from bedside_core.signing import Keys

EVIDENCE = "evidence.json"
SIGNATURE = "evidence.json.sig"
Verdict = Literal["PROMOTE", "REJECT", "NOT_ENOUGH_EVIDENCE"]


class EvidenceHead(BaseModel):
    """The fields of `evidence.json` that every service relies on."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    candidate: str
    """Digest of the model artifact that the verdict is about."""
    base: str
    """Digest of the model artifact that it was compared with."""
    verdict: Verdict
    reasons: tuple[str, ...]


def sign_evidence(evidence_json: bytes, keys: Keys) -> bytes:
    """The content of the signature file for the bytes of `evidence.json`."""
    return (keys.sign(evidence_json) + "\n").encode()


def read_evidence(artifact: Artifact, keys: Keys) -> EvidenceHead:
    """Verify an evidence artifact's hashes and signature, then read its head.

    Raises:
        ArtifactError: not an evidence artifact, changed, or not signed by this house.
    """
    if artifact.kind != "evidence":
        raise ArtifactError(f"artifact {artifact.digest[:12]} is a {artifact.kind}, not evidence")
    artifact.verify()
    raw = artifact.file(EVIDENCE).read_bytes()
    keys.verify(raw, artifact.file(SIGNATURE).read_bytes().decode("ascii", "replace").strip())
    try:
        return EvidenceHead.model_validate_json(raw)
    except ValidationError:
        raise ArtifactError(
            f"evidence {artifact.digest[:12]}: {EVIDENCE} lacks its head (candidate, base, verdict)"
        ) from None
