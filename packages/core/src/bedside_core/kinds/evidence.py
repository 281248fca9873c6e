"""What the registry and the engine must know of an evidence artifact: subject, verdict, signature.

The evaluation service writes more into `evidence.json` (per-item results, intervals); this module
reads the part that promotion rests on, after the signature over the whole artifact was checked: its
files (report and plot too), what it was made from, when, and the facts of its manifest.

Tested in tests/core/registry/test_registry.py.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.artifacts import Artifact, Seal, sealed_content
from bedside_core.errors import ArtifactError
from bedside_core.kinds.serving import (
    ENGINE_VERSION,
    ServedIdentity,
    Serving,
    differences,
    served_identity,
)
from bedside_core.registry.keyring import Keyring
from bedside_core.signing import Keys

DOMAIN = b"bedside evidence v2\n"
_DOMAIN_NAME = DOMAIN.decode().strip()
EVIDENCE = "evidence.json"
SIGNATURE = "evidence.sig"
Verdict = Literal["PROMOTE", "REJECT", "NOT_ENOUGH_EVIDENCE", "SAME_MODEL"]


class EvidenceHead(BaseModel):
    """The fields of `evidence.json` that every service relies on."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    candidate: str
    """Digest of the model artifact that the verdict is about."""
    base: str
    """Digest of the model that it was made from and compared with."""
    incumbent: str | None = None
    """Digest of what was promoted then, if that was another model."""
    verdict: Verdict
    scope: Literal["demo", "house"] = "house"
    """Whether a demo's policy gave the verdict."""
    reasons: tuple[str, ...]
    plan: str = ""
    """Hash of the plan's entry in the registry's log."""
    look: str | None = None
    """Hash of the look's entry."""
    policy_sha256: str = ""
    served: ServedIdentity | None = None
    """What the engine serves of the candidate, and nothing else, under this verdict."""

    def unlike(
        self, model: Artifact, serving: Serving, *, engine_version: str = ENGINE_VERSION
    ) -> list[str]:
        """What differs, in words, between what would be served of a model and what was examined.

        Raises:
            InputError: the model cannot be served under these settings.
        """
        if self.served is None:
            return ["it does not say what was examined"]
        return differences(
            served_identity(model, serving, engine_version=engine_version), self.served
        )

    @property
    def described(self) -> str:
        """The verdict, and whether it is a demo's."""
        return f"{self.verdict} (demo)" if self.scope == "demo" else self.verdict


class Signature(BaseModel):
    """`evidence.sig`: over the domain, a newline and the manifest without this file's entry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain: str
    key: str
    """The id of the house's evidence key, see `signing`."""
    signature: str
    """Ed25519, base64."""


def evidence_seal(keys: Keys) -> Seal:
    """Signs an evidence artifact as it is written."""

    def sign(manifest: bytes) -> bytes:
        signature = keys.sign(manifest)
        signed = Signature(domain=_DOMAIN_NAME, key=keys.key_id, signature=signature)
        return signed.model_dump_json().encode() + b"\n"

    return Seal(SIGNATURE, sign)


def read_evidence(artifact: Artifact, ring: Keyring) -> EvidenceHead:
    """Verify an evidence artifact's hashes and signature, then read its head.

    Raises:
        ArtifactError: not an evidence artifact, changed, or not signed by this house.
    """
    if artifact.kind != "evidence":
        raise ArtifactError(f"artifact {artifact.digest[:12]} is a {artifact.kind}, not evidence")
    artifact.verify()
    _check(artifact, ring)
    try:
        return EvidenceHead.model_validate_json(artifact.file(EVIDENCE).read_bytes())
    except ValidationError:
        raise ArtifactError(
            f"evidence {artifact.digest[:12]}: {EVIDENCE} lacks its head (candidate, base, "
            "verdict) - run the evaluation again"
        ) from None


def _check(artifact: Artifact, ring: Keyring) -> None:
    try:
        signed = Signature.model_validate_json(artifact.file(SIGNATURE).read_bytes())
    except ValidationError:
        signed = Signature(domain="", key="", signature="")
    key, message = ring.evidence(signed.key), DOMAIN + sealed_content(artifact.manifest, SIGNATURE)
    if signed.domain != _DOMAIN_NAME or not key.fits(message, signed.signature):
        raise ArtifactError(
            "the evidence's signature does not fit this house's key - it was changed after signing "
            "or comes from elsewhere; run the evaluation again"
        )
