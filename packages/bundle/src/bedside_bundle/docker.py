"""What a bundle needs of Docker: its command line, streamed, with errors that say what to do."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from bedside_bundle.archive import CHUNK, Source
from bedside_bundle.manifest import IMAGES, Image, Member
from bedside_core.errors import ArtifactError
from bedside_core.files import disk_errors

ATTESTATION = "vnd.docker.reference.type"
INSPECT = "{{.Id}} {{.Os}}/{{.Architecture}}"


def platform() -> str:
    """Operating system and architecture of the Docker Engine, which must be running."""
    return docker("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}").strip()


def compose_images() -> list[str]:
    """The images of every profile of the compose project in the current directory."""
    text = docker("compose", "--profile", "*", "config", "--images")
    return sorted({line.strip() for line in text.splitlines() if line.strip()})


def inspect(reference: str) -> Image:
    """An image that is on this machine.

    Raises:
        ArtifactError: it is not.
    """
    try:
        text = docker("image", "inspect", "--format", INSPECT, reference)
    except ArtifactError as error:
        if "no such image" not in str(error).lower():
            raise
        raise ArtifactError(
            f"image {reference} is not on this machine - build it with `make images`, or pull it"
        ) from None
    identity, name = text.split()
    return Image(reference=reference, platform=name, ids=(identity,))


def is_loaded(image: Image) -> bool:
    """Whether this Docker has exactly this image under this name."""
    try:
        return inspect(image.reference).ids[0] in image.ids
    except ArtifactError:
        return False


def save(references: Sequence[str], path: Path) -> Source:
    """Save images into one file, in which layers that they share are stored once."""
    digest, size = hashlib.sha256(), 0
    with _process("save", *references) as (process, _), path.open("wb") as out:
        assert process.stdout is not None  # noqa: S101 - what PIPE means
        while chunk := process.stdout.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            out.write(chunk)
    return Source(Member(path=IMAGES, size=size, sha256=digest.hexdigest()), path)


def load(content: Iterator[bytes]) -> None:
    """Feed images to Docker; if `content` raises, Docker is stopped before it saw the end."""
    with _process("load", "--quiet") as (process, stdin):
        try:
            for chunk in content:
                stdin.write(chunk)
            stdin.close()
        except BrokenPipeError:
            pass  # Docker gave up; its exit status and message say why
        for _ in content:  # the archive is read to its end in any case
            pass
        process.wait()


def all_ids(saved: Path, images: Sequence[Image]) -> tuple[Image, ...]:
    """Add to each image the digests by which another kind of image store would name it."""
    groups: list[set[str]] = []
    try:
        with tarfile.open(saved) as archive:
            groups = [_digests(archive, d) for d in _json(archive, "index.json")["manifests"]]
    except KeyError:
        pass  # Docker before 25 wrote no index; then there is only one kind of store to meet
    except (tarfile.TarError, ValueError):
        raise ArtifactError(f"docker save wrote an archive that cannot be read ({saved})") from None
    return tuple(
        image.model_copy(update={"ids": (own, *sorted(_same(groups, own) - {own}))})
        for image in images
        for own in image.ids[:1]
    )


def _same(groups: Sequence[set[str]], identity: str) -> set[str]:
    return set().union(*(group for group in groups if identity in group))


def _digests(archive: tarfile.TarFile, descriptor: dict[str, Any]) -> set[str]:
    """The digest of an index or manifest, with those of its manifests and configurations."""
    if ATTESTATION in descriptor.get("annotations", {}):
        return set()
    found = {str(descriptor["digest"])}
    try:
        document = _json(archive, f"blobs/{descriptor['digest'].replace(':', '/')}")
    except KeyError:
        return found  # another platform's manifest, which is not on this machine
    if "config" in document:
        found.add(str(document["config"]["digest"]))
    for child in document.get("manifests", []):
        found |= _digests(archive, child)
    return found


def _json(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    return json.load(file) if file else {}


def docker(*arguments: str) -> str:
    """Run a docker command; returns what it printed.

    Raises:
        ArtifactError: there is no docker command, or it failed.
    """
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except OSError as error:
        raise _missing(error) from None
    if done.returncode:
        raise _failed(arguments, done.stderr)
    return done.stdout


@contextmanager
def _process(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A docker command with its streams; killed if the block raises, else it must succeed."""
    # A file instead of a pipe: nobody reads the messages while the other streams are busy.
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603
                ["docker", *arguments],  # noqa: S607
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        except OSError as error:
            raise _missing(error) from None
        assert process.stdin is not None  # noqa: S101 - what PIPE means
        try:
            with disk_errors(IMAGES):
                yield process, process.stdin
            process.wait()
        finally:
            process.kill()
            process.wait()
            _close(process)
        errors.seek(0)
        if process.returncode:
            raise _failed(arguments, errors.read().decode(errors="replace"))


def _close(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        try:
            if stream is not None:
                stream.close()
        except BrokenPipeError:
            pass


def _missing(error: OSError) -> ArtifactError:
    return ArtifactError(
        f"docker cannot be run ({error.strerror}) - install Docker Engine and its Compose plugin"
    )


def _failed(arguments: Sequence[str], stderr: str) -> ArtifactError:
    lines = stderr.strip().splitlines() or ["no message"]
    return ArtifactError(
        f"docker {arguments[0]} failed: {lines[-1][:500]} - see that Docker runs, has space, and "
        "that this user may use it; then run the same command again"
    )
