"""What goes into a bundle from the checkout and from the registry.

Tested in tests/bundle/test_create.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bedside_bundle import wheels
from bedside_bundle.archive import Source, source
from bedside_bundle.manifest import Member, is_safe
from bedside_core.artifacts import MANIFEST, Artifact
from bedside_core.errors import InputError
from bedside_core.registry.registry import Registry

COMPOSE = "compose.yaml"
DEPLOY = (
    COMPOSE, "compose.gpu.yaml", ".env.example", "configs", "demo", "exams", "scripts/backup.sh",
    "scripts/restore.sh", "scripts/selftest.sh", "scripts/up.sh", "docs", "README.md",
    "CHANGELOG.md", "LICENSE",
)  # fmt: skip
"""What an operator gets; whatever of it the checkout has."""
NOT_SECRET = (".env.example", ".helmignore")
"""The hidden files that belong to the product."""
CHART = "helm/bedside"
LOCKS = ("requirements/*.lock", "services/*/*.lock")


def check(checkout: Path) -> None:
    """See that a folder has what `create` reads.

    Raises:
        InputError: this is no checkout of Bedside.
    """
    for name in (COMPOSE, wheels.LOCK, *(f"{package}/pyproject.toml" for package in wheels.OURS)):
        if not (checkout / name).is_file():
            raise InputError(f"{checkout}: no {name} here - run this in Bedside's checkout")


def deployment(checkout: Path) -> Iterator[Source]:
    """`deploy/`, `chart/` and `locks/`.

    Raises:
        InputError: a file has a name or a kind that no bundle carries.
    """
    for name in DEPLOY:
        yield from tree(checkout / name, f"deploy/{name}")
    yield from tree(checkout / CHART, "chart")
    for pattern in LOCKS:
        for path in sorted(checkout.glob(pattern)):
            yield from tree(path, f"locks/{path.relative_to(checkout).as_posix()}")


def tree(path: Path, name: str) -> Iterator[Source]:
    """A file, or every file of a folder but hidden ones (secrets, editors' files) and caches."""
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            hidden = child.name.startswith(".") and child.name not in NOT_SECRET
            if not hidden and child.name != "__pycache__":
                yield from tree(child, f"{name}/{child.name}")
    elif path.is_symlink() or path.exists():
        if not is_safe(name):
            raise InputError(f"{path}: a bundle cannot carry this name - rename the file")
        yield source(name, path)


def models(registry: Registry) -> Iterator[Source]:
    """`models/`, laid out as a BEDSIDE_HOME: what is served, and the proof that it may be.

    What the model was made from stays at home: a corpus holds documents. The log carries the
    public keys, so the target can check evidence and log, not make them.

    Raises:
        PolicyError: what is promoted has no verdict that allows it, or was withdrawn.
        ArtifactError: what is promoted does not match its manifest or signature.
    """
    chosen = _chosen(registry)
    for artifact in chosen.values():
        yield from _artifact(artifact)
        yield from tree(registry.public / artifact.digest, f"models/public/{artifact.digest}")
    for path in sorted(registry.home.glob("runs/*/*")):
        run, slot = path.parent.name, path.name
        if not slot.startswith(".") and registry.slot(run, slot) in chosen:
            yield from tree(path, f"models/runs/{run}/{slot}")
    if chosen:
        for path in (registry.log.path, registry.log.head_path):
            yield from tree(path, f"models/{path.name}")


def anchor(registry: Registry) -> str | None:
    """The fingerprint of the house whose models go along, if any do."""
    return registry.keyring()["operator"].fingerprint if _chosen(registry) else None


def lineage(registry: Registry) -> Iterator[Source]:
    """`lineage/`: the manifests, without content, of everything the served model came from."""
    lines = (registry.ancestors(artifact) for artifact in _chosen(registry).values())
    ancestors = {found.digest: found for line in lines for _, _, found in line}
    for digest, found in sorted(ancestors.items()):
        yield source(f"lineage/{digest}.json", found.path / MANIFEST)


def _chosen(registry: Registry) -> dict[str, Artifact]:
    now = registry.current()
    if now is None:
        return {a.digest: a for a in registry.artifacts() if a.kind == "base"}
    registry.refuse_withdrawn("the promoted model", now.model)
    evidence = registry.get(now.evidence)
    model = registry.check_promotable(evidence)
    return dict(sorted({evidence.digest: evidence, model.digest: model}.items()))


def _artifact(artifact: Artifact) -> Iterator[Source]:
    folder = f"models/artifacts/{artifact.digest}"
    yield source(f"{folder}/{MANIFEST}", artifact.path / MANIFEST)
    for entry in artifact.manifest.files:
        # The hash is the manifest's, not the disk's: if they differ, writing the bundle fails.
        name = f"{folder}/{entry.path}"
        if not is_safe(name):
            raise InputError(f"{artifact.path / entry.path}: a bundle cannot carry this name")
        yield Source(
            Member(path=name, size=entry.size, sha256=entry.sha256), artifact.path / entry.path
        )
