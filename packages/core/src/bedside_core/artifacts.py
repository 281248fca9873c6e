"""Artifacts: immutable directories with a manifest, named by the SHA-256 of that manifest.

An artifact is written to a temporary directory on the same file system, hashed, synced to disk and
renamed into place, so that a half-written one is never visible, whatever kills the process.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from bedside_core.config import canonical_json, sha256_of
from bedside_core.errors import ArtifactError
from bedside_core.files import disk_errors, new_directory, sha256_file, sync, write_synced
from bedside_core.licences import Licence, union
from bedside_core.progress import Progress

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
SHOWN_BYTES = 1 << 30
"""An artifact of this size or more shows how far its verification is."""
Kind = Literal[
    "corpus", "labels", "classifier", "split", "heldout",
    "base", "checkpoint", "inspection", "search", "merged", "evidence",
]  # fmt: skip


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _below(path: str) -> str:
    """Whoever copies what a manifest lists must not be led out of its directory."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise ValueError("leads out of the artifact's directory")
    return path


class FileEntry(_Record):
    """One file of an artifact: path below its directory, size in bytes, SHA-256 (hex)."""

    path: Annotated[str, AfterValidator(_below)]
    size: int
    sha256: str


class Recipe(_Record):
    """What made an artifact: verb, config, parents, files from outside, libraries and device."""

    verb: str
    version: str
    config: dict[str, Any]
    parents: dict[str, str]
    inputs: dict[str, str]
    environment: dict[str, str] = {}
    """Versions of the libraries that make the numbers, and the kind of `device`. Empty in artifacts
    of version 0.2."""

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

    def verify(self, name: str | None = None) -> None:
        """Compare every file, or the one called `name`, with the manifest.

        Raises:
            ArtifactError: names each file that is missing, changed or not listed.
        """
        chosen = [entry for entry in self.manifest.files if name in (None, entry.path)]
        size = sum(entry.size for entry in chosen)
        with showing(f"verify {self.kind}", size) as update:
            problems = [text for entry in chosen if (text := self._problem(entry, update))]
        if name is None:
            listed = {entry.path for entry in chosen} | {MANIFEST}
            problems += [f"{n} is not listed" for n in _files(self.path) if n not in listed]
        if problems:
            raise ArtifactError(
                f"{self.kind} artifact {self.digest[:12]} does not match its manifest: "
                f"{'; '.join(problems)} - it is not used; restore it from a backup or make it again"
            )

    def _problem(self, entry: FileEntry, told: Callable[[int], object]) -> str | None:
        path = self.path / entry.path
        if path.is_symlink() or not path.is_file():
            return f"{entry.path} is missing"
        try:
            size = path.stat().st_size
            same = size == entry.size and sha256_file(path, told) == entry.sha256
        except OSError as error:
            return f"{entry.path} cannot be read ({error.strerror})"
        return None if same else f"{entry.path} was changed"


@contextmanager
def showing(name: str, size: int) -> Iterator[Callable[[int], object]]:
    """Progress of reading `size` bytes, where they are so many that somebody waits."""
    if size < SHOWN_BYTES:
        yield lambda count: None
        return
    with Progress(name, total=size, unit="byte") as progress:
        yield progress.update


class Seal(NamedTuple):
    """A signature over all that an artifact is; it is a file of that artifact itself."""

    name: str
    sign: Callable[[bytes], bytes]
    """From `sealed_content` to the content of the file."""


def sealed_content(manifest: Manifest, name: str) -> bytes:
    """What the seal called `name` covers: the canonical manifest without the entry of the seal.

    So it covers every other file by its hash, parents, recipe, producer, time and facts.
    """
    files = tuple(entry for entry in manifest.files if entry.path != name)
    return canonical_json(manifest.model_copy(update={"files": files}).model_dump(mode="json"))


class ArtifactWriter:
    """A directory being filled; `facts` and `licences` go into the manifest, which `seal` signs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.facts: dict[str, Any] = {}
        self.licences: tuple[Licence, ...] = ()
        self.seal: Seal | None = None
        self.artifact: Artifact | None = None
        self._taken: dict[str, FileEntry] = {}

    def take(self, file: Path, entry: FileEntry) -> None:
        """Take over a finished file, which is not read: `entry` has its name here and its hash.

        It is the same file under a second name where the file system has such, else a copy.
        """
        target = self.path / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(file)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise
            shutil.copyfile(file, target)
        self._taken[entry.path] = entry

    @property
    def taken(self) -> tuple[FileEntry, ...]:
        """Of the files that were taken over, by their names."""
        return tuple(entry for _, entry in sorted(self._taken.items()))

    def entries(self) -> tuple[FileEntry, ...]:
        """Of all files in the directory; the hash is made of those that were not taken over."""
        return tuple(self._taken.get(name) or _entry(self.path, name) for name in _files(self.path))

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
    with disk_errors(kind):
        store.mkdir(parents=True, exist_ok=True)
        with new_directory(store.parent / "tmp", kind) as path:
            writer = ArtifactWriter(path)
            yield writer
            manifest = Manifest(
                schema_version=SCHEMA_VERSION,
                kind=kind,
                files=writer.entries(),
                parents=recipe.parents,
                recipe=recipe,
                recipe_sha256=recipe.sha256,
                producer=producer,
                licences=union(licences, writer.licences),
                created=datetime.now(UTC),
                facts=writer.facts,
            )
            if writer.seal is not None:
                manifest = _sealed(path, manifest, writer.seal)
            writer.artifact = _commit(path, store, manifest)


def _sealed(path: Path, manifest: Manifest, seal: Seal) -> Manifest:
    (path / seal.name).write_bytes(seal.sign(sealed_content(manifest, seal.name)))
    return manifest.model_copy(update={"files": (*manifest.files, _entry(path, seal.name))})


def _commit(path: Path, store: Path, manifest: Manifest) -> Artifact:
    raw = canonical_json(manifest.model_dump(mode="json"))
    write_synced(path / MANIFEST, raw)
    for name in _files(path):
        # Some libraries write files that only we may read; the engine may run as somebody else.
        (path / name).chmod(0o644)
        sync(path / name)
    for directory in [path, *(p for p in path.rglob("*") if p.is_dir())]:
        sync(directory)
    target = store / hashlib.sha256(raw).hexdigest()
    path.chmod(0o755)
    path.rename(target)
    sync(store)
    return Artifact(target)


def hash_inputs(paths: Mapping[str, Path]) -> dict[str, str]:
    """Content hashes of files from outside the registry, for a recipe.

    Raises:
        ArtifactError: a file cannot be read.
    """
    try:
        size = sum(path.stat().st_size for path in paths.values())
        with showing("hash what goes in", size) as told:
            return {name: sha256_file(path, told) for name, path in paths.items()}
    except OSError as error:
        raise ArtifactError(f"{error.filename}: cannot be read ({error.strerror})") from None


def _files(path: Path) -> list[str]:
    found = (p for p in path.rglob("*") if p.is_symlink() or not p.is_dir())
    return sorted(p.relative_to(path).as_posix() for p in found)


def _entry(path: Path, name: str) -> FileEntry:
    file = path / name
    return FileEntry(path=name, size=file.stat().st_size, sha256=sha256_file(file))
