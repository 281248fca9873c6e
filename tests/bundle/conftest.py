"""A small checkout, a registry, and stand-ins for docker, uv and pip."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bedside_bundle.archive import END, header, padding
from bedside_core import cli
from bedside_core.artifacts import Artifact, Producer, Recipe, write_artifact
from bedside_core.kinds.evidence import EVIDENCE, evidence_seal
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry

IMAGES = ["bedside/engine:0.2.0", "bedside/gateway:0.2.0"]

DOCKER = '''#!{python} -IS
"""Keeps a list of image names; an image's content and digests follow from its name."""
import hashlib, io, json, os, sys, tarfile
from pathlib import Path
state = Path(os.environ["FAKE_DOCKER"])
words = sys.argv[1:]
with (state / "calls").open("a") as file:
    file.write(json.dumps(words) + "\\n")
behaviour = (state / "behaviour").read_text().split()

def digest(data): return hashlib.sha256(data).hexdigest()
def config(name): return json.dumps({{"config of": name}}).encode()
def manifest(name):
    return json.dumps({{"config": {{"digest": "sha256:" + digest(config(name))}}}}).encode()
def identity(name):
    content = manifest(name) if "containerd" in behaviour else config(name)
    return "sha256:" + digest(content)
def images(): return json.loads((state / "images").read_text())
def fail(text):
    sys.stderr.write("warning: something else\\n" + text + "\\n"); sys.exit(1)

def save(names):
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as out:
        def add(path, data):
            info = tarfile.TarInfo(path); info.size = len(data); out.addfile(info, io.BytesIO(data))
        descriptors = []
        for name in names:
            for blob in (config(name), manifest(name)):
                add("blobs/sha256/" + digest(blob), blob)
            descriptors.append({{"digest": "sha256:" + digest(manifest(name)), "name": name}})
        attestation = {{"vnd.docker.reference.type": "attestation-manifest"}}
        descriptors.append({{"digest": "sha256:0", "annotations": attestation}})
        if "old" not in behaviour:
            add("index.json", json.dumps({{"manifests": descriptors}}).encode())
        add("names", json.dumps(names).encode())

def load():
    data = sys.stdin.buffer.read()
    if "refuse" in behaviour: fail("no space left on device")
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as saved:
            names = json.load(saved.extractfile("names"))
    except (tarfile.TarError, KeyError):
        fail("unexpected EOF")
    if "lose" not in behaviour:
        (state / "images").write_text(json.dumps(sorted({{*images(), *names}})))

if "down" in behaviour: fail("Cannot connect to the Docker daemon at unix:///nowhere")
if words[0] == "version": print("linux/arm64" if "arm" in behaviour else "linux/amd64")
elif words[:4] == ["compose", "--profile", "*", "config"]: print("\\n".join(images() + images()))
elif words[:2] == ["image", "inspect"]:
    if words[4] not in images() or "gone" in behaviour: fail("Error: No such image: " + words[4])
    print(identity("x" if "other" in behaviour else words[4]), "linux/amd64")
elif words[0] == "save": save(words[1:])
elif words[0] == "load": load()
elif words[0] == "run":
    debian = [{{"name": "libc6", "version": "2.36", "architecture": "amd64"}}]
    python = [{{"name": "pydantic", "version": "2", "licence": "MIT"}}]
    system = {{"id": "debian", "version": "12"}}
    print(json.dumps({{"system": system, "debian": debian, "python": python}}))
else: fail("unknown command")
'''

UV = """#!/bin/sh
while [ $# -gt 1 ]; do [ "$1" = --out-dir ] && out=$2; shift; done
echo '*' >"$out/.gitignore"
echo wheel >"$out/bedside_$(basename "$1")-0.2.0-py3-none-any.whl"
"""

PIP = """#!/bin/sh
case "$*" in *--require-hashes*) ;; *) exit 1 ;; esac
while [ $# -gt 1 ]; do [ "$1" = --dest ] && out=$2; shift; done
echo wheel >"$out/pydantic-2-py3-none-any.whl"
"""


@dataclass(frozen=True)
class Docker:
    """The stand-in's state."""

    state: Path

    def behave(self, *how: str) -> None:
        (self.state / "behaviour").write_text(" ".join(how))

    def has(self, *names: str) -> None:
        (self.state / "images").write_text(json.dumps(sorted(names)))

    @property
    def images(self) -> list[str]:
        return json.loads((self.state / "images").read_text())

    @property
    def calls(self) -> list[list[str]]:
        path = self.state / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass(frozen=True)
class Site:
    """The machine that makes bundles."""

    checkout: Path
    registry: Registry
    docker: Docker
    output: Path

    @property
    def public_key(self) -> Path:
        return self.registry.home / "keys" / "bundle.pub"

    def create(self, name: str = "b.tar") -> Path:
        assert run_bedside("create", str(self.output / name)) == 0
        return self.output / name


def run_bedside(*words: str) -> int:
    return cli.main(["bundle", *words])


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def fill(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def make_site(root: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    checkout, state, output = root / "checkout", root / "docker", root / "output"
    for folder in (checkout, state, output):
        folder.mkdir()
    fill(
        checkout,
        {
            "compose.yaml": "name: bedside\n",
            "compose.gpu.yaml": "services: {}\n",
            ".env.example": "PORT=8080\n",
            ".env": "SECRET=do-not-carry\n",
            "configs/demo.yaml": "name: demo\n",
            "configs/.swp": "x",
            "configs/__pycache__/x.pyc": "x",
            "demo/documents/größe 1.txt": "text\n",
            "helm/bedside/Chart.yaml": "name: bedside\n",
            "helm/bedside/.helmignore": "*.tmp\n",
            "requirements/core.lock": "pydantic==2\n",
            "services/eval/requirements.lock": "scipy==1\n",
            "packages/core/pyproject.toml": "",
            "packages/bundle/pyproject.toml": "",
        },
    )
    program(checkout / "scripts" / "backup.sh", "#!/bin/sh\n")
    program(root / "bin" / "docker", DOCKER.format(python=sys.executable))
    program(root / "envs" / "uv" / "bin" / "uv", UV)
    program(root / "envs" / "uv" / "bin" / "pip", PIP)
    docker = Docker(state)
    docker.behave()
    docker.has(*IMAGES)
    for name in (
        "BEDSIDE_BUNDLE_KEY",
        "BEDSIDE_EVIDENCE_KEY",
        "BEDSIDE_OPERATOR_KEY",
        "BEDSIDE_PIN",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_DOCKER", str(state))
    monkeypatch.setenv("BEDSIDE_ENVS", str(root / "envs"))
    monkeypatch.setenv("BEDSIDE_HOME", str(root / "home"))
    monkeypatch.setenv("BEDSIDE_GIT_REVISION", "abc123")
    monkeypatch.chdir(checkout)
    registry = Registry(root / "home")
    found(registry)
    assert run_bedside("key") == 0
    return Site(checkout, registry, docker, output)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return make_site(tmp_path, monkeypatch)


@dataclass(frozen=True)
class Made:
    """A bundle that tests may not change, with its key."""

    content: bytes
    public_key: Path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("made")
    # Undone before the first test: a session's fixture ends with the session, and other suites'
    # tests of this process would run in its directory with its environment.
    with pytest.MonkeyPatch.context() as patch:
        site = make_site(root, patch)
        put_artifact(site.registry, "base")
        return Made(site.create().read_bytes(), site.public_key)


def put_artifact(registry: Registry, kind: str, **options: Any) -> Artifact:
    """Write an artifact; `files` and `parents` as options."""
    parents: dict[str, Artifact] = options.get("parents", {})
    recipe = Recipe(
        verb=f"test {kind}", version="1", config={},
        parents={role: parent.digest for role, parent in parents.items()}, inputs={},
    )  # fmt: skip
    producer = Producer(service="t", version="1", git_revision=None, image_digest=None)
    with write_artifact(
        registry.store, kind, recipe=recipe, producer=producer, licences=()
    ) as writer:  # fmt: skip
        for name, content in options.get("files", {"weights.bin": kind.encode() * 300}).items():
            (writer.path / name).parent.mkdir(parents=True, exist_ok=True)
            (writer.path / name).write_bytes(content)
        writer.seal = options.get("seal")
    return writer.result


def promote_model(
    registry: Registry, make_basis: Callable[..., dict[str, Any]]
) -> dict[str, Artifact]:
    """A promoted model with a lineage; the run has slots for all of it."""
    base = put_artifact(registry, "base")
    corpus = put_artifact(registry, "corpus", files={"documents/00000.jsonl": b"{}\n"})
    model = put_artifact(registry, "merged", parents={"base": base, "corpus": corpus})
    body = {"candidate": model.digest, "base": base.digest, "verdict": "PROMOTE", "reasons": [],
            **make_basis(registry, model.digest, base.digest)}  # fmt: skip
    evidence = put_artifact(
        registry, "evidence", parents={"candidate": model, "base": base},
        files={EVIDENCE: json.dumps(body).encode()}, seal=evidence_seal(registry.evidence_keys),
    )  # fmt: skip
    found = {"base": base, "corpus": corpus, "merged": model, "evidence": evidence}
    for slot, artifact in found.items():
        registry.set_slot("demo", slot, artifact.digest)
    registry.promote(evidence)
    return found


def read_members(archive: Path | bytes) -> dict[str, bytes]:
    """The content of an archive, as an ordinary tar reads it."""
    raw = archive if isinstance(archive, bytes) else archive.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(raw)) as opened:
        return {info.name: opened.extractfile(info).read() for info in opened}


def canonical_tar(files: list[tuple[str, bytes]]) -> bytes:
    """An archive in the canonical form, whatever is in it."""
    return b"".join(header(n, len(d)) + d + padding(len(d)) for n, d in files) + END


@pytest.fixture(scope="session")
def bedside() -> Callable[..., int]:
    """Run `bedside bundle ...`; returns the exit code."""
    return run_bedside


@pytest.fixture(scope="session")
def put() -> Callable[..., Artifact]:
    return put_artifact


@pytest.fixture(scope="session")
def promote(
    make_basis: Callable[..., dict[str, Any]],
) -> Callable[[Registry], dict[str, Artifact]]:
    return lambda registry: promote_model(registry, make_basis)


@pytest.fixture(scope="session")
def members() -> Callable[[Path | bytes], dict[str, bytes]]:
    return read_members


@pytest.fixture(scope="session")
def plain_tar() -> Callable[[list[tuple[str, bytes]]], bytes]:
    return canonical_tar
