"""The bundle as a tar archive in one canonical form, written and read as a stream.

Covered: a reader never interprets a tar header. From the signed `bundle.json` it works out the
only header, padding and end that a file may have and compares bytes, so whatever was changed,
added, doubled, left out, linked or cut off is refused, wherever it lies.

Not covered: secrecy. A bundle is signed, not encrypted.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bedside_bundle.keys import check_signature
from bedside_bundle.manifest import BUNDLE, SIGNATURE, Bundle, Member
from bedside_core.errors import ArtifactError, InputError
from bedside_core.files import sha256_file
from bedside_core.progress import Progress

CHUNK = 1 << 20
BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
MAX_BUNDLE_JSON = 64 << 20
"""More than any bundle needs; a forged size must not fill the memory."""
SIGNATURE_SIZE = 89
"""64 bytes in base64, and the end of the line."""
AGAIN = "the bundle is not used; get it again from its source"


@dataclass(frozen=True, slots=True)
class Source:
    """A file on this machine that becomes a member."""

    member: Member
    path: Path


def source(name: str, path: Path) -> Source:
    """Hash a file that is to become the member `name`.

    Raises:
        InputError: it is a link or something else that is not a plain file, or cannot be read.
    """
    if path.is_symlink() or not path.is_file():
        raise InputError(f"{path}: not a plain file - a bundle carries no links; replace it")
    try:
        status, digest = path.stat(), sha256_file(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    executable = bool(status.st_mode & 0o100)
    return Source(
        Member(path=name, size=status.st_size, sha256=digest, executable=executable), path
    )


def header(path: str, size: int, *, executable: bool = False) -> bytes:
    """The only tar header of a member: no owner, no time, nothing else that could differ."""
    info = tarfile.TarInfo(path)
    info.size = size
    info.mode = 0o755 if executable else 0o644
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


def padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def write_archive(
    out: BinaryIO, bundle_json: bytes, signature: bytes, sources: list[Source]
) -> None:
    """Write a whole archive; `sources` in the order of the manifest.

    Raises:
        ArtifactError: a source is not what was hashed before.
    """
    for name, data in ((BUNDLE, bundle_json), (SIGNATURE, signature)):
        out.write(header(name, len(data)) + data + padding(len(data)))
    with _progress("write", [item.member for item in sources]) as progress:
        for item in sources:
            member = item.member
            out.write(header(member.path, member.size, executable=member.executable))
            _copy(item, out, progress)
            out.write(padding(member.size))
    out.write(END)


def _copy(item: Source, out: BinaryIO, progress: Progress) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        file = item.path.open("rb")
    except OSError as error:
        raise ArtifactError(f"{item.path}: cannot be read ({error.strerror})") from None
    with file:
        while size <= item.member.size and (chunk := file.read(CHUNK)):
            digest.update(chunk)
            size += len(chunk)
            out.write(chunk)
            progress.update()
    if (size, digest.hexdigest()) != (item.member.size, item.member.sha256):
        raise ArtifactError(
            f"{item.path} was changed while it was bundled, or does not match its manifest - see "
            "`bedside registry verify`, then run the same command again"
        )


class Archive:
    """A bundle that is read once from where the file stands; its signature is checked first."""

    def __init__(self, file: BinaryIO, key: Ed25519PublicKey) -> None:
        """Read and check `bundle.json`.

        Raises:
            ArtifactError: no bundle, or not signed with this key.
        """
        self.file = file
        self.raw = self._first()
        self._expect(header(SIGNATURE, SIGNATURE_SIZE), SIGNATURE)
        self.signature = self._read(SIGNATURE_SIZE, SIGNATURE)
        self._expect(padding(SIGNATURE_SIZE), SIGNATURE)
        check_signature(key, self.raw, self.signature)
        self.bundle = Bundle.from_bytes(self.raw)

    def members(self, doing: str) -> Iterator[tuple[Member, Iterator[bytes]]]:
        """Every member with its content, which must be read to its end before the next one.

        The last piece of a content is handed out only when the whole fitted its hash.

        Raises:
            ArtifactError: names the first file that is not what `bundle.json` says.
        """
        seen: set[str] = {BUNDLE, SIGNATURE}
        with _progress(doing, self.bundle.files) as progress:
            for member in self.bundle.files:
                wanted = header(member.path, member.size, executable=member.executable)
                found = self._read(len(wanted), member.path)
                if found != wanted:
                    raise ArtifactError(f"{self._difference(found, member, seen)} - {AGAIN}")
                yield member, self._content(member, progress)
                seen.add(member.path)
        found = self._read(len(END), "its end")
        if found != END:
            raise ArtifactError(f"{self._difference(found, None, seen)} - {AGAIN}")
        if self.file.read(1):
            raise ArtifactError(f"something was added behind the archive's end - {AGAIN}")

    def _content(self, member: Member, progress: Progress) -> Iterator[bytes]:
        digest, left, held = hashlib.sha256(), member.size, b""
        while left:
            if held:
                yield held
            held = self._read(min(left, CHUNK), member.path)
            digest.update(held)
            left -= len(held)
            progress.update()
        if digest.hexdigest() != member.sha256:
            raise ArtifactError(f"{member.path}: its content was changed - {AGAIN}")
        self._expect(padding(member.size), member.path)
        if held:
            yield held

    def _first(self) -> bytes:
        found = self._read(BLOCK, BUNDLE)
        info = _parse(found)
        if info is None or info.name != BUNDLE:
            raise ArtifactError(f"not a bundle: it does not begin with {BUNDLE} - {AGAIN}")
        if not 0 < info.size <= MAX_BUNDLE_JSON or found != header(BUNDLE, info.size):
            raise ArtifactError(f"{BUNDLE}: its tar header was changed - {AGAIN}")
        raw = self._read(info.size, BUNDLE)
        self._expect(padding(info.size), BUNDLE)
        return raw

    def _read(self, size: int, what: str) -> bytes:
        try:
            data = self.file.read(size)
        except OSError as error:
            raise ArtifactError(
                f"the archive cannot be read at {what} ({error.strerror}) - copy it to a sound disk"
            ) from None
        if len(data) < size:
            raise ArtifactError(f"the archive is cut off at {what} - {AGAIN}")
        return data

    def _expect(self, wanted: bytes, what: str) -> None:
        if self._read(len(wanted), what) != wanted:
            raise ArtifactError(f"{what}: the tar archive was changed around it - {AGAIN}")

    def _difference(self, found: bytes, member: Member | None, seen: set[str]) -> str:
        """Say what stands where `member` (or the end) should: for the message only."""
        info = _parse(found[:BLOCK])
        if info is None:
            if member is None:
                return "the archive's end was changed"
            if found[:BLOCK] == bytes(BLOCK):
                return f"{member.path} is missing"
            return f"{member.path}: its tar header was changed"
        if not info.isreg():
            return f"{info.name!r} is a link, a device or a folder, which no bundle has"
        if info.name in seen:
            return f"{info.name!r} is there twice"
        if member is None or info.name not in {entry.path for entry in self.bundle.files}:
            return f"{info.name!r} is not listed in {BUNDLE}"
        if info.name != member.path:
            return f"{member.path} is missing or not in its place"
        if info.size != member.size:
            return f"{member.path} has {info.size} bytes instead of {member.size}"
        return f"{member.path}: its tar header was changed"


def verify(file: BinaryIO, key: Ed25519PublicKey) -> Archive:
    """Check the signature and every byte of an archive, reading it once; nothing is extracted.

    Raises:
        ArtifactError: names the first file that is not what was signed.
    """
    archive = Archive(file, key)
    for _, content in archive.members("verify"):
        for _ in content:
            pass
    return archive


def _parse(block: bytes) -> tarfile.TarInfo | None:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None


def _progress(name: str, members: list[Member] | tuple[Member, ...]) -> Progress:
    return Progress(name, total=sum(-(-m.size // CHUNK) for m in members), unit="MiB")
