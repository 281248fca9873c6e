"""`bundle.json`: what is in a bundle. Its bytes are signed, everything else hangs on its hashes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bedside_core.artifacts import FileEntry
from bedside_core.errors import ArtifactError
from bedside_core.messages import sentence

BUNDLE = "bundle.json"
SIGNATURE = "bundle.json.sig"
README = "README.txt"
SUMS = "SHA256SUMS"
IMAGES = "images.tar"
TREES = ("chart", "deploy", "install", "lineage", "locks", "models", "sbom")
FIRST = (README, SUMS)
"""What a person wants to read before anything else stands at the front of the archive."""


class Member(FileEntry):
    """One file of the bundle; its path is safe to create below any directory."""

    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    executable: bool = False

    @field_validator("path")
    @classmethod
    def _safe(cls, path: str) -> str:
        if not is_safe(path):
            raise ValueError("is not a plain path below one of the bundle's folders")
        return path


class Image(BaseModel):
    """A container image in `images.tar`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: str
    platform: str
    ids: tuple[str, ...] = Field(min_length=1)
    """What Docker may call this image: the ID where the bundle was made, and the digests of its
    configuration and manifests, since an engine with the containerd store names it by another."""


class Bundle(BaseModel):
    """The content of `bundle.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    version: str
    created: datetime
    git_revision: str | None
    anchor: str | None
    """Fingerprint of the operator key of the house whose models are in it; none without models."""
    images: tuple[Image, ...]
    files: tuple[Member, ...]

    @model_validator(mode="after")
    def _canonical(self) -> Self:
        paths = [member.path for member in self.files]
        if paths != [member.path for member in in_order(self.files)]:
            raise ValueError("files are not in the order of the archive")
        if len(set(paths)) != len(paths):
            raise ValueError("a file is listed twice")
        if any(b.startswith(f"{a}/") for a, b in pairwise(sorted(paths, key=_by_folder))):
            raise ValueError("a file is listed as the folder of another")
        if not {*FIRST, IMAGES} <= set(paths):
            raise ValueError(f"{README}, {SUMS} or {IMAGES} is not listed")
        return self

    def to_bytes(self) -> bytes:
        """The exact bytes that are signed; laid out for a human reader."""
        document = self.model_dump(mode="json")
        return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Bundle:
        """Read a `bundle.json` whose signature fits.

        Raises:
            ArtifactError: it is not what this version writes.
        """
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "document"
            raise ArtifactError(
                f"{BUNDLE}: {where}: {sentence(first, cls)} - the bundle was made by another "
                "version of Bedside; use the tool that came with it"
            ) from None


def is_safe(path: str) -> bool:
    """Whether a path is relative, plain, printable and below one of the bundle's folders."""
    if path in (*FIRST, IMAGES):
        return True
    parts = path.split("/")
    return (
        path.isprintable()  # so it can be encoded, and shown to a person
        and "\\" not in path
        and len(parts) > 1
        and parts[0] in TREES
        and not any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts)
    )


def in_order(members: Iterable[Member]) -> list[Member]:
    """The order of the archive: what to read first, the folders, the images at the end.

    The images come last so that a load has every file on disk before Docker gets anything.
    """
    return sorted(members, key=lambda m: (m.path == IMAGES, m.path not in FIRST, m.path))


def sums(members: Iterable[Member]) -> bytes:
    """`SHA256SUMS` of everything else, for `sha256sum --check` where there is no Python."""
    return "".join(f"{m.sha256}  {m.path}\n" for m in in_order(members)).encode()


def _by_folder(path: str) -> list[str]:
    return path.split("/")
