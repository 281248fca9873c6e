"""In-toto Statements (v1) in DSSE envelopes (v1), and the digests by which they name a model.

A statement has two subjects, a model twice: the SHA-256 of its `manifest.json`, which is the
artifact's name and has the hash of every file; and the root of its model signature, which anybody
computes from the files alone.

Sources: in-toto attestation framework, spec/v1/statement.md; DSSE, protocol.md (PAE); OpenSSF
Model Signing specification v1.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bedside_core.artifacts import MANIFEST, Artifact
from bedside_core.config import canonical_json
from bedside_core.signing import PublisherKeys, fingerprint, pem

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
MODEL_SIGNING_TYPE = "https://model_signing/signature/v1.0"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
ROOT_NAME = "model-signing-root"
"""The subject whose digest is the root of a model signature."""


def resources(artifact: Artifact) -> list[dict[str, str]]:
    """Every file of an artifact, its manifest too, with the hash that the manifest vouches for."""
    named = {entry.path: entry.sha256 for entry in artifact.manifest.files}
    named[MANIFEST] = artifact.digest
    return [{"name": n, "algorithm": "sha256", "digest": d} for n, d in sorted(named.items())]


def root(artifact: Artifact) -> str:
    """SHA-256 (hex) over the digests of all files, in the order of their names."""
    digests = (bytes.fromhex(resource["digest"]) for resource in resources(artifact))
    return hashlib.sha256(b"".join(digests)).hexdigest()


def model_signature(artifact: Artifact, publisher: PublisherKeys) -> bytes:
    """`model.sig`: a sigstore bundle over every file; no file is read again, the manifest has it.

    Raises:
        ArtifactError: there is no publisher key.
    """
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": artifact.digest, "digest": {"sha256": root(artifact)}}],
        "predicateType": MODEL_SIGNING_TYPE,
        "predicate": {
            "resources": resources(artifact),
            "serialization": {
                "method": "files", "hash_type": "sha256", "allow_symlinks": False,
                "ignore_paths": [],
            },
        },
    }  # fmt: skip
    # The hint is what the tool compares: SHA-256 of the key's PEM form, unlike our fingerprint.
    hint = hashlib.sha256(pem(publisher.public)).hexdigest()
    bundle = {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": _envelope(canonical_json(statement), publisher, keyid=""),
    }
    return canonical_json(bundle) + b"\n"


def statement(
    artifact: Artifact, predicate_type: str, predicate: Mapping[str, Any], publisher: PublisherKeys
) -> bytes:
    """A signed statement about a model: the content of one `*.json` file.

    Raises:
        ArtifactError: there is no publisher key.
    """
    subjects = {MANIFEST: artifact.digest, ROOT_NAME: root(artifact)}
    content = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": n, "digest": {"sha256": d}} for n, d in subjects.items()],
        "predicateType": predicate_type,
        "predicate": predicate,
    }
    keyid = fingerprint(publisher.public)
    return canonical_json(_envelope(canonical_json(content), publisher, keyid=keyid)) + b"\n"


def _envelope(payload: bytes, publisher: PublisherKeys, *, keyid: str) -> dict[str, Any]:
    signature = publisher.sign(b"DSSEv1 %d %s %d %s" % (
        len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload,
    ))  # fmt: skip
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": keyid, "sig": base64.b64encode(signature).decode()}],
    }


def artifact_uri(digest: str) -> str:
    """The name of an artifact outside its registry."""
    return f"urn:bedside:artifact:sha256:{digest}"


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
