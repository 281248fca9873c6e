"""What the statements say: a test result, the verdict as a summary of verification, provenance.

Sources: in-toto attestation predicates, test-result v0.1; SLSA v1.0, verification summary and
provenance.

Tested in tests/core/public/test_write.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedside_core.artifacts import Artifact
from bedside_core.config import sha256_of
from bedside_core.public.promoted import Promoted
from bedside_core.public.statements import artifact_uri, timestamp

TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SUMMARY = "https://slsa.dev/verification_summary/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
COMPARED = ("base", "incumbent", "reference")
"""What evidence calls the models beside the candidate."""
LOGGED = ("plan", "look")
"""What evidence names by the hash of its entry in the registry's log."""


def test_result(promoted: Promoted) -> dict[str, Any]:
    """What was measured and found: each condition of the policy, in the verdict's own sentence.

    A promoted model met every condition, so all of them passed.
    """
    said = promoted.content
    return {
        "result": "PASSED",
        "configuration": [
            {"name": "policy", **_policy(promoted)},
            _resource("evidence", promoted.evidence.digest),
            *(_resource(role, said[role]) for role in COMPARED if said.get(role)),
            *({"name": name, "digest": _sha256(said[name])} for name in LOGGED if said.get(name)),
        ],
        "passedTests": list(promoted.head.reasons),
        "warnedTests": [],
        "failedTests": [],
    }


def summary(promoted: Promoted, inputs: Mapping[str, str]) -> dict[str, Any]:
    """The promotion: who verified what by which policy, when and from which statements.

    Args:
        promoted: the model.
        inputs: SHA-256 of the files that it rests on, by name; the entry of the log joins them.
    """
    log = {"uri": f"urn:bedside:log:{promoted.entry.seq}", "digest": _sha256(promoted.entry.hash)}
    return {
        "verifier": {"id": f"urn:bedside:operator:{promoted.entry.members['key']}"},
        "timeVerified": timestamp(promoted.time),
        "resourceUri": artifact_uri(promoted.model.digest),
        "policy": _policy(promoted),
        "inputAttestations": [
            *({"uri": name, "digest": _sha256(digest)} for name, digest in inputs.items()),
            log,
        ],
        "verificationResult": "PASSED",
        # None of SLSA's own levels: those say how software was built.
        "verifiedLevels": [level(promoted)],
        "slsaVersion": "1.0",
    }


def level(promoted: Promoted) -> str:
    """What the promotion is worth: a demo's policy promises less than a house's."""
    demo = promoted.policy.get("scope") == "demo"
    return "BEDSIDE_PROMOTED_DEMO" if demo else "BEDSIDE_PROMOTED"


def provenance(artifact: Artifact) -> dict[str, Any]:
    """How a step made an artifact, from its manifest."""
    manifest, recipe = artifact.manifest, artifact.manifest.recipe
    producer = manifest.producer
    builder: dict[str, Any] = {"id": f"urn:bedside:service:{producer.service}"}
    builder["version"] = {"bedside": producer.version}
    if producer.git_revision:
        builder["version"]["git"] = producer.git_revision
    if producer.image_digest:
        builder["version"]["image"] = producer.image_digest
    inputs = [_resource(role, digest) for role, digest in sorted(manifest.parents.items())]
    if recipe.inputs:
        # Of all together: a file's name may say more about a patient than a stranger should read.
        inputs.append({"name": "other inputs", "digest": _sha256(sha256_of(recipe.inputs))})
    return {
        "buildDefinition": {
            "buildType": f"urn:bedside:verb:{recipe.verb.replace(' ', '.')}",
            "externalParameters": recipe.config,
            "internalParameters": {"version": recipe.version, "environment": recipe.environment},
            "resolvedDependencies": inputs,
        },
        "runDetails": {
            "builder": builder,
            "metadata": {
                "invocationId": manifest.recipe_sha256,
                "finishedOn": timestamp(manifest.created),
            },
        },
    }


def _policy(promoted: Promoted) -> dict[str, Any]:
    uri = f"urn:bedside:policy:{promoted.policy_name}"
    return {"uri": uri, "digest": _sha256(promoted.policy_sha256)}


def _resource(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "uri": artifact_uri(digest), "digest": _sha256(digest)}


def _sha256(digest: str) -> dict[str, str]:
    return {"sha256": digest}
