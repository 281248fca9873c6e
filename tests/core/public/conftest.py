"""A promoted model of fixed manifests, so that every byte that is derived from it is fixed, too."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bedside_core.artifacts import Artifact, Recipe
from bedside_core.chain import close_line, content, open_line, parse
from bedside_core.config import canonical_json
from bedside_core.kinds.evidence import EvidenceHead
from bedside_core.public.promoted import Promoted
from bedside_core.signing import PublisherKeys

CREATED = "2026-11-30T12:00:00Z"
PROMOTED = 1796050800.0
"""Unix seconds of the promotion."""
ROOT = Path(__file__).parents[3]
POLICY = {"name": "demo", "scope": "demo"}
PLAN = SimpleNamespace(
    policy=SimpleNamespace(model_dump=lambda mode: POLICY),
    sets={
        "heldout/medical_de": SimpleNamespace(
            sha256="d" * 64, clusters=2, development=("0" * 16,), sealed=("1" * 16, "2" * 16)
        )
    },
)
"""As much of a plan as the formats say, so that no other change of plans changes their bytes."""


def write_fixed(store: Path, kind: str, **options: Any) -> Artifact:
    """An artifact whose digest follows from the arguments alone."""
    parents = {role: parent.digest for role, parent in options.get("parents", {}).items()}
    recipe = Recipe(
        verb=f"{options['service']} {options['verb']}", version="3",
        config=options.get("config", {}), parents=parents, inputs=options.get("inputs", {}),
        environment={"torch": "2.13.0", "device": "cpu"},
    )  # fmt: skip
    files = options.get("files", {"model.safetensors": kind.encode() * 100})
    manifest = {
        "schema_version": 1,
        "kind": kind,
        "files": [
            {"path": n, "size": len(d), "sha256": hashlib.sha256(d).hexdigest()}
            for n, d in sorted(files.items())
        ],
        "parents": parents,
        "recipe": recipe.model_dump(),
        "recipe_sha256": recipe.sha256,
        "producer": {
            "service": options["service"], "version": "0.0.0", "git_revision": "abc1234",
            "image_digest": None,
        },
        "licences": options.get("licences", [["Apache-2.0", ["notice"]]]),
        "created": CREATED,
        "facts": options.get("facts", {}),
    }  # fmt: skip
    raw = canonical_json(manifest)
    path = store / hashlib.sha256(raw).hexdigest()
    path.mkdir(parents=True)
    (path / "manifest.json").write_bytes(raw)
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return Artifact(path)


def fixed_models(store: Path) -> dict[str, Artifact]:
    described = {"architecture": "LlamaForCausalLM", "num_parameters": 134515008,
                 "context_length": 2048, "dtype": "bfloat16"}  # fmt: skip
    base = write_fixed(store, "base", service="trainer", verb="import-base", facts=described)
    corpus = write_fixed(
        store, "corpus", service="corpus", verb="build",
        files={"data/00000.parquet": b"texts", "documents/00000.jsonl": b"{}\n"},
        licences=[["CC-BY-4.0", ["attribution"]], ["LicenseRef-house", ["review"]]],
        facts={
            "documents": 40, "words": 21000, "purpose": "internal",
            "declared": {"lexicon": {"attribution": "Lexikon der Klinik, Stand 2026"}},
            "sources": [
                {"name": "letters", "documents": 30, "licences": "LicenseRef-house"},
                {"name": "lexicon", "documents": 10, "licences": "CC-BY-4.0"},
            ],
        },
    )  # fmt: skip
    checkpoint = write_fixed(
        store, "checkpoint", service="trainer", verb="run",
        parents={"base": base, "corpus": corpus},
        facts={**described, "steps": 50, "purpose": "internal"},
        config={"learning_rate": 5e-05, "bf16": False, "schedule": "linear"},
        inputs={"brief-von-frau-m.txt": "0" * 64},
    )  # fmt: skip
    merged = write_fixed(
        store, "merged", service="merger", verb="run",
        parents={"base": base, "checkpoint": checkpoint},
        facts={**described, "method": "slerp", "purpose": "internal"},
        config={"method": "slerp", "t": 0.5},
        files={"model.safetensors": b"weights", "tokenizer/tokenizer.json": b"{}"},
    )  # fmt: skip
    return {"base": base, "corpus": corpus, "checkpoint": checkpoint, "merged": merged}


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Artifact]:
    return fixed_models(tmp_path / "artifacts")


@pytest.fixture
def promoted(tmp_path: Path, models: dict[str, Artifact]) -> Promoted:
    body = {
        "candidate": models["merged"].digest,
        "base": models["base"].digest,
        "verdict": "PROMOTE",
        "reasons": ["The gain on medical_de is shown.", "The loss on general_de is bounded."],
        "plan": "a" * 64,
        "look": "b" * 64,
        "served": {
            "weights": "c" * 64, "files": {}, "chat_template": None, "dtype": "bfloat16",
            "max_model_len": 2048, "engine": "vllm 0.32.0",
        },
        "differences": [
            {
                "candidate": "merged", "reference": "base",
                "heldout": {
                    "medical_de": {
                        "estimate": -0.157,
                        "methods": {
                            "bootstrap": {"estimate": -0.157, "low": -0.165, "high": -0.148},
                            "t": {"estimate": -0.157, "low": -0.167, "high": -0.149},
                        },
                    },
                    "general_en": {"estimate": 0.0, "methods": {}},
                },
                "exams": {"medical_de": {"acc": {"difference": {
                    "estimate": 0.075,
                    "methods": {"tango": {"estimate": 0.075, "low": -0.016, "high": 0.175}},
                }}}},
            }
        ],
    }  # fmt: skip
    evidence = write_fixed(
        tmp_path / "artifacts", "evidence", service="eval", verb="run",
        parents={"merged": models["merged"], "base": models["base"]},
        files={"evidence.json": json.dumps(body).encode()}, licences=[],
    )  # fmt: skip
    decision = {"model": models["merged"].digest, "evidence": evidence.digest, "by": "anna"}
    middle = content("promote", {**decision, "key": "0123456789abcdef", "signature": "A"})
    line, _ = close_line(open_line(1, PROMOTED, middle, "0" * 64))
    head = EvidenceHead.model_construct(
        **{name: body[name] for name in ("candidate", "base", "verdict", "reasons")}
    )
    lineage = tuple(models[kind] for kind in ("merged", "base", "checkpoint", "corpus"))
    return Promoted(models["merged"], evidence, head, body, parse(line), PLAN, lineage)


@pytest.fixture
def make_publisher(tmp_path: Path) -> Callable[[int], PublisherKeys]:
    """The publisher key of a number: always the same."""

    def make(number: int) -> PublisherKeys:
        path = tmp_path / f"publisher-{number}.pem"
        key = ec.derive_private_key(number, ec.SECP256R1())
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)
        return PublisherKeys(tmp_path, stem=path.stem)

    return make


@pytest.fixture
def publisher(make_publisher: Callable[[int], PublisherKeys]) -> PublisherKeys:
    return make_publisher(20261130)


@pytest.fixture(scope="session")
def verify_env() -> Path:
    """The environment of tools that others wrote."""
    path = ROOT / os.environ.get("BEDSIDE_ENVS", ".venvs") / "verify"
    if not (path / "bin" / "model_signing").exists():
        if os.environ.get("BEDSIDE_REQUIRE_VERIFY"):
            pytest.fail(f"no {path} - bash scripts/setup.sh verify")
        pytest.skip("no environment `verify` - bash scripts/setup.sh verify")
    return path
