"""`bedside bundle create`: images, deployment, models, locks and bills of materials in one file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from bedside_bundle import contents, docker, wheels
from bedside_bundle.archive import Source, source, write_archive
from bedside_bundle.keys import ENVIRONMENT, publisher_keys
from bedside_bundle.load import MODELS_INTO_STACK
from bedside_bundle.manifest import README, SUMS, Bundle, Image, in_order, sums
from bedside_bundle.scratch import scratch
from bedside_core.console import say
from bedside_core.errors import ArtifactError, ConfigError
from bedside_core.files import disk_errors, sync
from bedside_core.registry.registry import Registry
from bedside_core.run import git_revision
from bedside_core.signing import Keys, fingerprint, read_public_key


def create(registry: Registry, output: str) -> None:
    """Write the bundle of the checkout in the current directory.

    Raises:
        ConfigError: there is no key to sign with, or bedside-bundle has no extra `create`.
        ArtifactError: Docker or an image is missing, a source does not match, the disk is full.
    """
    contents.check(Path.cwd())
    target = _target(output)
    keys = publisher_keys(registry)
    if not keys.private_path.exists():
        raise ConfigError(
            f"{ENVIRONMENT}: no key at {keys.private_path} - make it with `bedside bundle key`"
        )
    keys.make()  # a key that cannot be used must not be noticed after half an hour
    images = tuple(docker.inspect(reference) for reference in docker.compose_images())
    if not images:
        raise ArtifactError("the compose project names no image - is this Bedside's compose.yaml?")
    with scratch(target.parent) as room:
        sources = [
            *contents.deployment(Path.cwd()),
            *contents.models(registry),
            *contents.lineage(registry),
        ]
        created = datetime.now(UTC).replace(microsecond=0)
        sources += [*_bills(images, created, room), *_wheels(room)]
        say(f"saving {len(images)} images")
        saved = docker.save([image.reference for image in images], room / "images.tar")
        _check_unchanged(images)
        images = docker.all_ids(saved.path, images)
        sources = _with_front([*sources, saved], created, room)
        bundle = Bundle(
            version=version("bedside-bundle"),
            created=created,
            git_revision=os.environ.get("BEDSIDE_GIT_REVISION") or git_revision(),
            images=images,
            anchor=contents.anchor(registry),
            files=tuple(item.member for item in sources),
        )
        _write(target, room, bundle, sources, keys)
    digest = fingerprint(read_public_key(keys.public_path))
    say(f"{target}: {target.stat().st_size / 1e6:.1f} MB, {len(images)} images")
    say(f"hand over, by another way than the bundle: {keys.public_path} (SHA-256 {digest})")
    if bundle.anchor is not None:
        say(f"and the fingerprint of the house's operator key: {bundle.anchor}")


def _target(output: str) -> Path:
    target = Path(output).absolute()
    if target.is_dir():
        target = target / f"bedside-{version('bedside-bundle')}.tar"
    if target.exists():
        raise ArtifactError(f"{target} exists - remove it, or name another file")
    return target


def _check_unchanged(images: tuple[Image, ...]) -> None:
    for image in images:
        if not docker.is_loaded(image):
            raise ArtifactError(
                f"image {image.reference} was built anew while it was bundled - run the same "
                "command again"
            )


def _bills(images: tuple[Image, ...], created: datetime, room: Path) -> list[Source]:
    try:
        from bedside_bundle import sbom
    except ImportError:
        raise ConfigError(
            "bedside-bundle is installed for loading only - to create bundles, install its extra "
            "`create`"
        ) from None
    found = []
    for image in images:
        path = room / sbom.file_name(image)
        bill = sbom.bill_of_materials(image, sbom.inventory(image), created)
        with disk_errors(path.name):
            path.write_bytes(bill)
        found.append(source(f"sbom/{path.name}", path))
    return found


def _wheels(room: Path) -> list[Source]:
    target = room / "wheels"
    with disk_errors("wheels"):
        target.mkdir()
        wheels.collect(Path.cwd(), target)
    return list(contents.tree(target, "install/wheels"))


def _with_front(sources: list[Source], created: datetime, room: Path) -> list[Source]:
    """Add what a person reads first, and put everything in the archive's order."""
    text = Template(files("bedside_bundle").joinpath("README.txt").read_text(encoding="utf-8"))
    readme = text.substitute(
        version=version("bedside-bundle"),
        created=f"{created:%Y-%m-%d}",
        models_into_stack=MODELS_INTO_STACK.format(models="$PWD/../models"),
    )
    with disk_errors(SUMS):
        (room / README).write_text(readme, encoding="utf-8")
        sources = [*sources, source(README, room / README)]
        (room / SUMS).write_bytes(sums(item.member for item in sources))
    sources.append(source(SUMS, room / SUMS))
    by_path = {item.member.path: item for item in sources}
    return [by_path[member.path] for member in in_order(item.member for item in sources)]


def _write(target: Path, room: Path, bundle: Bundle, sources: list[Source], keys: Keys) -> None:
    raw = bundle.to_bytes()
    signature = (keys.sign(raw) + "\n").encode()
    path = room / "archive"
    with disk_errors(target.name):
        # Only for its owner: models, and perhaps documents, are in it.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            write_archive(out, raw, signature, sources)
            out.flush()
            os.fsync(out.fileno())
        path.rename(target)
        sync(target.parent)
