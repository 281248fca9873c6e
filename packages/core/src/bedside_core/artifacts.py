"""Artifacts: immutable directories with a manifest, named by the SHA-256 of that manifest.

An artifact is written to a temporary directory on the same file system, hashed, synced to disk and
renamed into place, so that a half-written one is never visible, whatever kills the process.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.config import canonical_json, sha256_of
from bedside_core.errors import ArtifactError
from bedside_core.licences import Licence

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
Kind = Literal["corpus", "base", "checkpoint", "merged", "evidence"]
CHUNK_BYTES = 1 << 22


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(_Record):
    """One file of an artifact: path below its directory, size in bytes, SHA-256 (hex)."""

    path: str
    size: int
    sha256: str


class Recipe(_Record):
    """What made an artifact: verb, resolved config, parents and hashes of files from outside."""

    verb: str
    version: str
    config: dict[str, Any]
    parents: dict[str, str]
    inputs: dict[str, str]

    @property
    def sha256(self) -> str:
        """Equal recipes give interchangeable artifacts; this is what a second run looks for."""
        return sha256_of(self.model_dump())


class Producer(_Record):
    """The program that wrote an artifact."""

    service: str
    version: str
    git_revision: str | None
    image_digest: str | None


class Manifest(_Record):
    """`manifest.json`; its SHA-256 is the artifact's name."""

    schema_version: Literal[1]
    kind: Kind
    files: tuple[FileEntry, ...]
    parents: dict[str, str]
    recipe: Recipe
    recipe_sha256: str
    producer: Producer
    licences: tuple[Licence, ...]
    created: datetime
    facts: dict[str, Any]


class Artifact:
    """An artifact on disk that has a readable manifest."""

    def __init__(self, path: Path) -> None:
        """Read the manifest.

        Raises:
            ArtifactError: no manifest, or one that is not ours or does not match its name.
        """
        self.path = path
        self.digest = path.name
        try:
            raw = (path / MANIFEST).read_bytes()
        except OSError:
            raise ArtifactError(
                f"artifact {self.digest[:12]}: no readable {MANIFEST} in {path}"
            ) from None
        if hashlib.sha256(raw).hexdigest() != self.digest:
            raise ArtifactError(
                f"artifact {self.digest[:12]}: {MANIFEST} was changed after it was written - "
                "restore the directory from a backup or make the artifact again"
            )
        try:
            self.manifest = Manifest.model_validate_json(raw)
        except ValidationError:
            raise ArtifactError(
                f"artifact {self.digest[:12]}: {MANIFEST} has a schema that this version does not "
                "know"
            ) from None

    @property
    def kind(self) -> Kind:
        return self.manifest.kind

    def file(self, name: str) -> Path:
        """The path of a file that the manifest lists.

        Raises:
            ArtifactError: the manifest has no such file.
        """
        if not any(entry.path == name for entry in self.manifest.files):
            raise ArtifactError(f"{self.kind} artifact {self.digest[:12]} has no file {name!r}")
        return self.path / name

    def verify(self) -> None:
        """Compare every file with the manifest.

        Raises:
            ArtifactError: names each file that is missing, changed or not listed.
        """
        problems = []
        for entry in self.manifest.files:
            path = self.path / entry.path
            if path.is_symlink() or not path.is_file():
                problems.append(f"{entry.path} is missing")
            elif path.stat().st_size != entry.size or sha256_file(path) != entry.sha256:
                problems.append(f"{entry.path} was changed")
        listed = {entry.path for entry in self.manifest.files} | {MANIFEST}
        problems += [f"{name} is not listed" for name in _files(self.path) if name not in listed]
        if problems:
            raise ArtifactError(
                f"{self.kind} artifact {self.digest[:12]} does not match its manifest: "
                f"{'; '.join(problems)} - it is not used; restore it from a backup or make it again"
            )


class ArtifactWriter:
    """A directory being filled; `facts` go into the manifest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.facts: dict[str, Any] = {}
        self.artifact: Artifact | None = None

    @property
    def result(self) -> Artifact:
        """The finished artifact, after the `with` block."""
        if self.artifact is None:
            raise RuntimeError("the artifact is not finished")
        return self.artifact


@contextmanager
def write_artifact(
    store: Path,
    kind: Kind,
    *,
    recipe: Recipe,
    producer: Producer,
    licences: tuple[Licence, ...],
) -> Iterator[ArtifactWriter]:
    """Fill a new artifact; on a clean exit it appears under `store`, otherwise nothing does.

    Raises:
        ArtifactError: the disk is full or the store cannot be written.
    """
    temporary_root = store.parent / "tmp"
    with _disk_errors(kind):
        store.mkdir(parents=True, exist_ok=True)
        temporary_root.mkdir(exist_ok=True)
        sweep(temporary_root)
        path = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=temporary_root))
    lock = os.open(path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    writer = ArtifactWriter(path)
    try:
        with _disk_errors(kind):
            yield writer
            manifest = Manifest(
                schema_version=SCHEMA_VERSION,
                kind=kind,
                files=tuple(_entry(path, name) for name in _files(path)),
                parents=recipe.parents,
                recipe=recipe,
                recipe_sha256=recipe.sha256,
                producer=producer,
                licences=licences,
                created=datetime.now(UTC),
                facts=writer.facts,
            )
            writer.artifact = _commit(path, store, manifest)
    finally:
        os.close(lock)
        shutil.rmtree(path, ignore_errors=True)


def _commit(path: Path, store: Path, manifest: Manifest) -> Artifact:
    raw = canonical_json(manifest.model_dump(mode="json"))
    write_synced(path / MANIFEST, raw)
    for name in _files(path):
        _sync(path / name)
    for directory in [path, *(p for p in path.rglob("*") if p.is_dir())]:
        _sync(directory)
    target = store / hashlib.sha256(raw).hexdigest()
    path.chmod(0o755)
    path.rename(target)
    _sync(store)
    return Artifact(target)


def sweep(temporary_root: Path) -> None:
    """Remove what killed processes left behind: directories that no live process has locked."""
    for path in temporary_root.iterdir():
        try:
            lock = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a small file at once: readers see the old or the new content, never a part."""
    with _disk_errors(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync(path.parent)


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and wait until it is on disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sha256_file(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_inputs(paths: Mapping[str, Path]) -> dict[str, str]:
    """Content hashes of files from outside the registry, for a recipe.

    Raises:
        ArtifactError: a file cannot be read.
    """
    try:
        return {name: sha256_file(path) for name, path in paths.items()}
    except OSError as error:
        raise ArtifactError(f"{error.filename}: cannot be read ({error.strerror})") from None


def _files(path: Path) -> list[str]:
    found = (p for p in path.rglob("*") if p.is_symlink() or not p.is_dir())
    return sorted(p.relative_to(path).as_posix() for p in found)


def _entry(path: Path, name: str) -> FileEntry:
    file = path / name
    return FileEntry(path=name, size=file.stat().st_size, sha256=sha256_file(file))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _disk_errors(what: str) -> Iterator[None]:
    """Turn a full or read-only disk into an error that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ArtifactError(
                f"disk full while writing {what}: nothing half-written is kept - free some space, "
                "or point BEDSIDE_HOME at a larger disk, and run the same command again"
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise ArtifactError(
                f"no right to write {what} ({error.filename}) - give this user write access, or "
                "point BEDSIDE_HOME at a directory of its own"
            ) from error
        raise
