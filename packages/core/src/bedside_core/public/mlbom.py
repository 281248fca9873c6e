"""The ML-BOM of a promoted model: CycloneDX 1.7, from the manifests along its lineage.

It names models, datasets and their sources with hashes, licences and counts, never a text of them.
Whose property `bedside:...` it is says `docs/public-formats.md`; the elements that it must have are
in `elements`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from bedside_core import __version__
from bedside_core.artifacts import Artifact
from bedside_core.kinds.corpus import attributions, describe_sources
from bedside_core.kinds.plan import Plan
from bedside_core.licences import OBLIGATIONS
from bedside_core.public import said
from bedside_core.public.elements import says
from bedside_core.public.measured import measured
from bedside_core.public.predicates import level
from bedside_core.public.promoted import Promoted
from bedside_core.public.statements import artifact_uri, root, timestamp

MODELS = ("base", "checkpoint", "merged")
SYSTEM = "Bedside"

Json = dict[str, Any]


def ml_bom(promoted: Promoted, files: Mapping[str, str], publisher: str) -> Json:
    """The document.

    Args:
        promoted: the model.
        files: what else is published of it: SHA-256 by file name.
        publisher: fingerprint of the key that signs it.
    """
    bom: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, artifact_uri(promoted.entry.hash)).urn,
        "version": 1,
        "metadata": {
            "timestamp": timestamp(promoted.time),
            "lifecycles": [{"phase": "post-build"}],
            "tools": {"components": [_tool()]},
            "authors": [{"name": f"holder of the publisher key with SHA-256 {publisher}"}],
            "component": _promoted_model(promoted, files),
        },
        "components": [*map(_ancestor, promoted.lineage[1:]), _system(promoted)],
        "services": said.SERVICES,
        "dependencies": [*_dependencies(promoted)],
    }
    about = {"signature": said.SIGNATURE, "fingerprint": publisher}
    bom["metadata"]["properties"] = _properties(about)
    bom["metadata"]["properties"] += says(bom)
    return bom


def _promoted_model(promoted: Promoted, files: Mapping[str, str]) -> Json:
    model, facts = promoted.model, promoted.model.manifest.facts
    component = _artifact(model)
    component["description"] = (
        f"A language model ({model.kind}), adapted on the house's own machines and promoted for "
        f"serving under policy {promoted.policy_name}"
    )
    component["components"] = [
        {"type": "file", "name": f.path, "hashes": _hashes(f.sha256)} for f in model.manifest.files
    ]
    component["externalReferences"] = [
        {"type": "attestation", "url": name, "hashes": _hashes(digest)}
        for name, digest in files.items()
    ]
    component["properties"] += _properties(
        {
            "model-signing-root": root(model),
            "verdict": promoted.head.verdict,
            "level": level(promoted),
            "evidence": promoted.evidence.digest,
            "compared-with": promoted.head.base,
            "policy": promoted.policy_name,
            "policy-sha256": promoted.policy_sha256,
            "log-entry": promoted.entry.hash,
            **_parameters(facts),
            **{f"served.{k}": v for k, v in _parameters(promoted.served).items()},
        }
    )
    component["properties"] += [_property("reason", text) for text in promoted.head.reasons]
    card = _card(facts)
    card["modelParameters"] |= {
        "approach": {"type": "self-supervised"},
        "datasets": [
            *({"ref": artifact_uri(a.digest)} for a in promoted.of_kind("corpus")),
            *_examined(promoted.plan),
        ],
    }
    card["quantitativeAnalysis"] = {"performanceMetrics": [*_metrics(promoted)]}
    card["considerations"] = said.considerations(level(promoted))
    component["modelCard"] = card
    return component


def _metrics(promoted: Promoted) -> Iterator[Json]:
    for found in measured(promoted.content):
        metric: Json = {
            "type": found.measure, "slice": found.on, "value": f"{found.estimate:.6g}",
        }  # fmt: skip
        if found.envelope is not None:
            low, high = (f"{bound:.6g}" for bound in found.envelope)
            metric["confidenceInterval"] = {"lowerBound": low, "upperBound": high}
        yield metric


def _examined(plan: Plan | None) -> Iterator[Json]:
    """The sets that the verdict rests on; what is in them the model's house alone knows."""
    for name, texts in plan.sets.items() if plan else ():
        counted = {
            "sha256": texts.sha256,
            "sealed-clusters": texts.clusters,
            "sealed": len(texts.sealed),
            "development": len(texts.development),
        }
        yield {
            "type": "dataset",
            "name": name,
            "description": "measured on, never trained on; the verdict rests on the sealed part",
            "contents": {"properties": _properties(counted)},
            "classification": said.CLASSIFICATION,
        }


def _card(facts: Mapping[str, Any]) -> Json:
    length = facts.get("context_length")
    text = {"format": "text" if length is None else f"text, at most {length} tokens"}
    parameters: Json = {
        "task": "text-generation",
        "architectureFamily": "transformer",
        "inputs": [text],
        "outputs": [text],
    }
    if "architecture" in facts:
        parameters["modelArchitecture"] = str(facts["architecture"])
    return {"modelParameters": parameters}


def _ancestor(artifact: Artifact) -> Json:
    component = _artifact(artifact)
    facts = artifact.manifest.facts
    if artifact.kind in MODELS:
        component["modelCard"] = _card(facts)
        trained = artifact.kind == "checkpoint"
        numbers = dict(_numbers(artifact.manifest.recipe.config)) if trained else {}
        verb = {"trained-by": artifact.manifest.recipe.verb} if trained else {}
        component["properties"] += _properties({**verb, **_parameters(facts), **numbers})
    else:
        component["description"] = f"Texts that models were made from ({artifact.kind})"
        component["properties"] += _properties(_parameters(facts))
        named = attributions(artifact)
        component["data"] = [
            _source(source, named.get(str(source["name"]))) for source in describe_sources(artifact)
        ]
    return component


def _source(source: Mapping[str, object], attribution: str | None) -> Json:
    counted = {key: str(value) for key, value in source.items() if key != "name"}
    if attribution is not None:
        counted["attribution"] = attribution
    return {
        "type": "dataset",
        "name": str(source["name"]),
        "description": "documents that the house named as one source",
        "contents": {"properties": _properties({**counted, "format": "text"})},
        "classification": said.CLASSIFICATION,
        "sensitiveData": [said.SENSITIVE],
    }


def _artifact(artifact: Artifact) -> Json:
    manifest, producer = artifact.manifest, artifact.manifest.producer
    made = f"bedside {manifest.recipe.verb}, {producer.service} {producer.version}"
    revision = {"git-revision": producer.git_revision, "image-digest": producer.image_digest}
    component: Json = {
        "type": "machine-learning-model" if artifact.kind in MODELS else "data",
        "bom-ref": artifact_uri(artifact.digest),
        "name": f"bedside-{artifact.kind}",
        "version": artifact.digest[:12],
        "hashes": _hashes(artifact.digest),
        "properties": _properties(
            {
                "kind": artifact.kind,
                "created": timestamp(manifest.created),
                "producer": made,
                "recipe-sha256": manifest.recipe_sha256,
                **{name: value for name, value in revision.items() if value},
                **{f"with.{name}": v for name, v in manifest.recipe.environment.items()},
            }
        ),
    }
    if manifest.licences:
        component["licenses"] = [_licence(item.id) for item in manifest.licences]
        obligations = sorted({one for item in manifest.licences for one in item.obligations})
        component["properties"] += [_property("obligation", one) for one in obligations]
    return component


def _licence(identifier: str) -> Json:
    # The schema takes SPDX's own identifiers alone as `id`; what else a house writes is a name.
    return {"license": {"id" if identifier in OBLIGATIONS else "name": identifier}}


def _system(promoted: Promoted) -> Json:
    statements = {"promoted": timestamp(promoted.time), **said.system(level(promoted))}
    return {
        "type": "application",
        "bom-ref": SYSTEM,
        "name": SYSTEM,
        "version": __version__,
        "description": "The system that serves the model: engine, gateway, registry",
        "properties": _properties(statements),
    }


def _tool() -> Json:
    return {"type": "application", "name": "bedside registry publish", "version": __version__}


def _dependencies(promoted: Promoted) -> Iterator[Json]:
    yield {"ref": SYSTEM, "dependsOn": [artifact_uri(promoted.model.digest)]}
    for artifact in promoted.lineage:
        parents = sorted(set(artifact.manifest.parents.values()))
        yield {
            "ref": artifact_uri(artifact.digest),
            "dependsOn": [artifact_uri(digest) for digest in parents],
        }


def _parameters(facts: Mapping[str, Any]) -> dict[str, str]:
    """The facts that are one short value each."""
    return {key: str(v) for key, v in facts.items() if isinstance(v, str | int | float)}


def _numbers(config: Mapping[str, Any], prefix: str = "setting.") -> Iterator[tuple[str, str]]:
    """Settings that are numbers or switches; a path or a name says where, not how."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float):
            yield f"{prefix}{key}", str(value)


def _hashes(sha256: str) -> list[Json]:
    return [{"alg": "SHA-256", "content": sha256}]


def _properties(values: Mapping[str, object]) -> list[Json]:
    return [_property(name, str(value)) for name, value in values.items()]


def _property(name: str, value: str) -> Json:
    return {"name": f"bedside:{name}", "value": value}
