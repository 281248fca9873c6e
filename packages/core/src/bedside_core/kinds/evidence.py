"""What the registry and the engine must know of an evidence artifact: subject, verdict, signature.

The evaluation service writes more into `evidence.json` (per-item results, intervals); this module
reads the part that promotion rests on, after the signature over the whole file was checked.

Tested in tests/core/registry/test_registry.py.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError
from bedside_core.signing import Keys

DOMAIN = b"bedside evidence v1\n"
_DOMAIN_NAME = DOMAIN.decode().strip()
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
    exploratory: bool = False
    """Whether the answers were known before the policy was."""
    reasons: tuple[str, ...]

    @property
    def described(self) -> str:
        """The verdict, and whether it is of any use for a promotion."""
        return f"{self.verdict} (exploratory)" if self.exploratory else self.verdict


class Signature(BaseModel):
    """`evidence.json.sig`: over the domain, a newline and the bytes of `evidence.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain: str
    key: str
    """The id of the house's evidence key, see `signing`."""
    signature: str
    """Ed25519, base64."""


def sign_evidence(evidence_json: bytes, keys: Keys) -> bytes:
    """The content of the signature file for the bytes of `evidence.json`."""
    signature = keys.sign(evidence_json)
    signed = Signature(domain=_DOMAIN_NAME, key=keys.key_id, signature=signature)
    return signed.model_dump_json().encode() + b"\n"


def read_evidence(artifact: Artifact, keys: Keys) -> EvidenceHead:
    """Verify an evidence artifact's hashes and signature, then read its head.

    Raises:
        ArtifactError: not an evidence artifact, changed, or not signed by this house.
    """
    if artifact.kind != "evidence":
        raise ArtifactError(f"artifact {artifact.digest[:12]} is a {artifact.kind}, not evidence")
    artifact.verify()
    raw = artifact.file(EVIDENCE).read_bytes()
    _check(raw, artifact.file(SIGNATURE).read_bytes(), keys)
    try:
        return EvidenceHead.model_validate_json(raw)
    except ValidationError:
        raise ArtifactError(
            f"evidence {artifact.digest[:12]}: {EVIDENCE} lacks its head (candidate, base, verdict)"
        ) from None


def _check(raw: bytes, signature: bytes, keys: Keys) -> None:
    try:
        signed = Signature.model_validate_json(signature)
    except ValidationError:
        # Version 0.1 wrote the signature alone; there was one key, and it is this one.
        text = signature.decode("ascii", "replace").strip()
        signed = Signature(domain=_DOMAIN_NAME, key=keys.key_id, signature=text)
    if (signed.domain, signed.key) != (_DOMAIN_NAME, keys.key_id):
        problem = f"is of key {signed.key[:16]!r}, this house's evidence key is {keys.key_id}"
    elif keys.fits(raw, signed.signature):
        return
    else:
        problem = "does not fit this house's key"
    raise ArtifactError(
        f"the evidence's signature {problem} - it was changed after signing or comes from "
        "elsewhere; run the evaluation again"
    )
