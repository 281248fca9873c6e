"""`bedside bundle load`: verify everything, then put files and images into place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bedside_bundle import docker
from bedside_bundle.archive import AGAIN, Archive, verify
from bedside_bundle.manifest import BUNDLE, IMAGES, SIGNATURE, Bundle, Member
from bedside_bundle.scratch import scratch
from bedside_core.config import Config
from bedside_core.console import say
from bedside_core.errors import ArtifactError
from bedside_core.files import disk_errors, sha256_file, sync, write_synced
from bedside_core.registry.pin import Pin
from bedside_core.registry.registry import Registry
from bedside_core.signing import fingerprint, read_public_key

# -n: a registry that is in use keeps its own log of promotions and its own keys.
MODELS_INTO_STACK = (
    'docker compose run --rm --no-deps --entrypoint cp --volume "{models}:/import:ro" '
    "promote -Rn /import/. /var/lib/bedside/"
)


def verify_bundle(registry: Registry, archive: str, public_key: str) -> None:
    """Check a bundle against a public key that came another way; changes nothing."""
    key = read_public_key(Path(public_key))
    with _open(archive) as file:
        bundle = verify(file, key).bundle
    say(f"{archive}: intact, signed with the key {fingerprint(key)}")
    _describe(bundle)


class Loading(Config):
    """What `load` must be told."""

    pin: str | None = None
    """Fingerprint of the house whose models are in it, as that house told it."""


def load(
    registry: Registry, archive: str, public_key: str, directory: str, loading: Loading
) -> None:
    """Verify a bundle, extract it into a directory, and give its images to Docker.

    Args:
        registry: of this machine; what it pins need not be said again.
        archive: the bundle.
        public_key: of its publisher.
        directory: a new or empty one, or one that this bundle was loaded into.
        loading: whose models it may bring.

    Raises:
        ArtifactError: the bundle is not what was signed, the directory holds something else, or
            Docker refuses the images. Nothing is left in the directory then.
    """
    key = read_public_key(Path(public_key))
    target = Path(directory).resolve()
    platform = docker.platform()
    with _open(archive) as file:
        checked = verify(file, key)
        bundle = checked.bundle
        _check_platform(bundle, platform)
        _check_anchor(bundle, loading.pin or registry.pin.read())
        there = _already_there(target, checked)
        if there and all(docker.is_loaded(image) for image in bundle.images):
            say(f"{target}: this bundle is loaded already, files and images are unchanged")
        else:
            file.seek(0)
            _load(file, key, checked.raw, target, write=not there)
            say(f"{target}: loaded, signed with the key {fingerprint(key)}")
    _describe(bundle)
    _next_steps(bundle, target)


def _load(file: BinaryIO, key: Ed25519PublicKey, raw: bytes, target: Path, *, write: bool) -> None:
    """The second pass hashes again: the file could have been changed since the first."""
    with scratch(target.parent) as room:
        tree = room / "tree"
        archive = Archive(file, key)
        if archive.raw != raw:
            raise ArtifactError(f"{BUNDLE} was changed while it was loaded - {AGAIN}")
        for member, content in archive.members("load"):
            if member.path == IMAGES:
                docker.load(content)
            elif write:
                with disk_errors(member.path):
                    _extract(tree, member, content)
            else:
                for _ in content:
                    pass
        _check_images(archive.bundle)
        if write:
            with disk_errors(target.name):
                write_synced(tree / BUNDLE, archive.raw)
                write_synced(tree / SIGNATURE, archive.signature)
                _check_log(archive.bundle, tree / "models")
                _settle(tree, target)


def _extract(tree: Path, member: Member, content: Iterator[bytes]) -> None:
    path = tree / member.path  # safe by the rules of Member; the tree is new and has no links
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o755 if member.executable else 0o644
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as out:
        os.fchmod(out.fileno(), mode)  # whatever the umask: the containers' user must read it
        for chunk in content:
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())


def _settle(tree: Path, target: Path) -> None:
    """Wait until all of a tree is on disk, then give it its name."""
    for directory in [tree, *(path for path in tree.rglob("*") if path.is_dir())]:
        directory.chmod(0o755)
        sync(directory)
    try:
        tree.rename(target)
    except OSError as error:
        raise ArtifactError(
            f"{target}: the files cannot be moved there ({error.strerror}) - name a new directory, "
            "and not a mount point itself but one below it"
        ) from None
    sync(target.parent)


def _already_there(target: Path, archive: Archive) -> bool:
    """Whether the directory has this very bundle.

    Raises:
        ArtifactError: it has something else, which is not overwritten.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    mark = target / BUNDLE
    if not mark.is_file() or mark.read_bytes() != archive.raw:
        raise ArtifactError(f"{target} holds something else - name a new directory")
    for member in archive.bundle.files:
        path = target / member.path
        if member.path == IMAGES:
            continue
        if path.is_symlink() or not path.is_file() or sha256_file(path) != member.sha256:
            raise ArtifactError(
                f"{path} is not what this bundle brought - it is not overwritten; put it back, or "
                "load into a new directory"
            )
    return True


def _check_anchor(bundle: Bundle, pinned: str | None) -> None:
    """The publisher's signature says who packed the models, not whose proof they stand on."""
    if bundle.anchor is None or bundle.anchor == pinned:
        return
    problem = "is not pinned here" if pinned is None else f"is not the pinned one, {pinned[:16]}"
    raise ArtifactError(
        f"the bundle's models are of the house with the operator key {bundle.anchor}, which "
        f"{problem} - compare it with what that house told you by another way, then load with "
        "--pin FINGERPRINT"
    )


def _check_log(bundle: Bundle, models: Path) -> None:
    """The models' log must be the house's that the bundle names, before anything is in place."""
    if bundle.anchor is not None:
        Registry(models, pin=Pin(models, given=bundle.anchor)).keyring()


def _check_platform(bundle: Bundle, platform: str) -> None:
    for image in bundle.images:
        if image.platform != platform:
            raise ArtifactError(
                f"image {image.reference} is for {image.platform}, this Docker is {platform} - get "
                "the bundle for this machine"
            )


def _check_images(bundle: Bundle) -> None:
    for image in bundle.images:
        if docker.inspect(image.reference).ids[0] not in image.ids:
            raise ArtifactError(
                f"image {image.reference} is not the one of the bundle after loading - another "
                "process moved its name; run the same command again"
            )


def _open(archive: str) -> BinaryIO:
    try:
        return Path(archive).open("rb")
    except OSError as error:
        raise ArtifactError(f"{archive}: cannot be read ({error.strerror})") from None


def _describe(bundle: Bundle) -> None:
    if bundle.anchor is not None:
        say(f"its models are of the house with the operator key {bundle.anchor}")
    revision = f", revision {bundle.git_revision}" if bundle.git_revision else ""
    say(f"Bedside {bundle.version} of {bundle.created:%Y-%m-%d %H:%M} UTC{revision}")
    for image in bundle.images:
        say(f"  {image.reference}  {image.ids[0]}")


def _next_steps(bundle: Bundle, target: Path) -> None:
    say(f"next: cd {target / 'deploy'} && cp -n .env.example .env")
    if any(member.path.startswith("models/") for member in bundle.files):
        command = MODELS_INTO_STACK.format(models=target / "models")
        say(f"models into the stack's registry: {command}")
        say(f"whose they are, into deploy/.env: BEDSIDE_PIN={bundle.anchor}")
    say("start: docker compose up --detach --no-build")
