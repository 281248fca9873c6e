"""Artifacts, evidence and subprocesses for the tests of bedside_core."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bedside_core.artifacts import Artifact, Producer, Recipe, Seal, write_artifact
from bedside_core.files import sha256_file
from bedside_core.kinds.evidence import EVIDENCE, SIGNATURE, evidence_seal
from bedside_core.kinds.plan import Look
from bedside_core.licences import Licence
from bedside_core.registry.house import found
from bedside_core.registry.ledger import Planned
from bedside_core.registry.registry import Registry

Put = Callable[..., Artifact]
Judge = Callable[..., Artifact]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "home")
    found(registry)
    return registry


@pytest.fixture
def put(registry: Registry) -> Put:
    """Write an artifact: `put("base", files={"a": b"..."}, parents={"role": artifact})`."""

    def put(
        kind: str = "base",
        *,
        files: Mapping[str, bytes] | None = None,
        parents: Mapping[str, Artifact] | None = None,
        config: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
        licences: tuple[Licence, ...] = (),
        seal: Seal | None = None,
    ) -> Artifact:
        recipe = Recipe(
            verb=f"test {kind}",
            version="1",
            config=dict(config or {}),
            parents={role: artifact.digest for role, artifact in (parents or {}).items()},
            inputs={},
        )
        with write_artifact(
            registry.store,
            kind,
            recipe=recipe,
            producer=Producer(service="t", version="1", git_revision=None, image_digest=None),
            licences=licences,
        ) as writer:
            for name, content in (files or {"weights.bin": b"w" * 1000}).items():
                (writer.path / name).parent.mkdir(parents=True, exist_ok=True)
                (writer.path / name).write_bytes(content)
            writer.facts |= facts or {}
            writer.seal = seal
        return writer.result

    return put


@pytest.fixture
def judge(registry: Registry, put: Put, make_basis: Callable[..., dict[str, Any]]) -> Judge:
    """Write signed evidence about a model, with a plan and a look of its own before it.

    `signature` replaces the house's own, `incumbent` what is promoted, `policy` the usual one.
    """

    def judge(
        model: Artifact,
        base: Artifact,
        verdict: str = "PROMOTE",
        *,
        signature: bytes | None = None,
        **more: object,
    ) -> Artifact:
        chosen = {name: more.pop(name) for name in ("incumbent", "policy") if name in more}
        evidence = {
            "candidate": model.digest, "base": base.digest, "verdict": verdict,
            "reasons": ["medical_de improved"], "items": [1, 2],
            **make_basis(registry, model.digest, base.digest, **chosen),
        }  # fmt: skip
        files = {EVIDENCE: json.dumps(evidence | more).encode()}
        seal: Seal | None = evidence_seal(registry.evidence_keys)
        if signature is not None:
            seal = Seal(SIGNATURE, lambda content: signature) if signature else None
        parents = {"candidate": model, "base": base}
        return put("evidence", files=files, parents=parents, seal=seal)

    return judge


@pytest.fixture
def chain(put: Put, judge: Judge) -> dict[str, Artifact]:
    """A whole pipeline's artifacts: base, corpus, checkpoint, merged, evidence."""
    documents = [
        {"id": "klinik/brief-7", "source": "letters", "licence": "CC0-1.0", "sha256": "0" * 64},
        {"id": "lexikon-1", "source": "lexicon", "licence": "CC-BY-4.0", "sha256": "1" * 64},
    ]
    base = put("base")
    corpus = put(
        "corpus",
        files={"documents/00000.jsonl": "".join(json.dumps(d) + "\n" for d in documents).encode()},
        facts={"sources": [{"name": "letters", "documents": 1, "licences": "CC0-1.0"}]},
    )
    checkpoint = put("checkpoint", parents={"base": base, "corpus": corpus})
    merged = put("merged", parents={"base": base, "checkpoint": checkpoint})
    evidence = judge(merged, base)
    return {"base": base, "corpus": corpus, "checkpoint": checkpoint, "merged": merged,
            "evidence": evidence}  # fmt: skip


@pytest.fixture
def make_look(put: Put) -> Callable[..., Look]:
    """A look at a merged model, with changes."""
    base = put("base")
    merged = put("merged", parents={"base": base})

    def make_look(planned: Planned, recipe: str = "r1", **changes: Any) -> Look:
        members = {
            "plan": planned.hash, "number": 1, "recipe": recipe, "reference": None,
            "candidate": merged.digest, "base": planned.plan.base, "incumbent": None,
        }  # fmt: skip
        return Look(**members | changes)

    return make_look


@pytest.fixture
def content_of() -> Callable[[Path], dict[str, str]]:
    """Every name below a directory and the hash of its bytes, to see that nothing was written."""

    def content_of(home: Path) -> dict[str, str]:
        return {
            str(path.relative_to(home)): sha256_file(path) if path.is_file() else ""
            for path in sorted(home.rglob("*"))
        }

    return content_of


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a Python program in a process of its own; what still runs at the end is killed."""
    processes: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


WRITER = """
import sys
from pathlib import Path
from bedside_core.artifacts import Producer, Recipe, write_artifact
store, mode = Path(sys.argv[1]), sys.argv[2]
recipe = Recipe(verb="t", version="1", config={}, parents={}, inputs={})
producer = Producer(service="t", version="1", git_revision=None, image_digest=None)
with write_artifact(store, "base", recipe=recipe, producer=producer, licences=()) as writer:
    (writer.path / "half").write_bytes(b"x" * 4096)
    print("writing", flush=True)
    if mode == "wait":
        sys.stdin.readline()
print(writer.result.digest, flush=True)
"""


@pytest.fixture
def writer_code() -> str:
    """A program that writes one artifact and, with `wait`, stops in the middle until told."""
    return WRITER


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("cannot mount a file system here")
    yield path
    subprocess.run(["umount", str(path)], check=True)
