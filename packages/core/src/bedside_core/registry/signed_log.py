"""The registry's log: a file of entries that are chained (`chain`) and each signed by its writer.

Before `prev`, an entry has `"key":"<key id>","signature":"<base64>"`. What is signed is DOMAIN and
the line's bytes without the members `signature` and `hash`; so a signature stands for everything
that came before, too. A type of entry counts only under the key that may write it.

Beside the log, `<name>.head` names its last entry, signed by the same key. It is written when the
line is on the disk, so that it never names one that a crash lost: a torn last line that it does not
name was never written, and the next writer cuts it; a log that ends before it was cut by somebody.

Found: any byte that was changed, any line that was removed, inserted, moved or doubled, an end that
was cut off, an entry under a wrong or foreign key. Not found: that somebody put an earlier log back
together with its head of that time, or removed both with the keys. Only a head that is kept outside
the registry shows that.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.chain import ZEROS, Entry, close_line, content, follow, open_line
from bedside_core.config import canonical_json
from bedside_core.errors import ArtifactError
from bedside_core.files import disk_errors, lock_directory, write_atomic
from bedside_core.signing import Keys, fits, key_id, read_public_key

DOMAIN = b"bedside log v1\n"
HEAD_DOMAIN = b"bedside log head v1\n"
MAX_LINE_BYTES = 1 << 20
_SIGNATURE = re.compile(rb',"signature":"([A-Za-z0-9+/]{86}==)"(,"prev":"[0-9a-f]{64}")')
_HASH_BYTES = len(f',"hash":"{ZEROS}"}}\n')
_END_BYTES = len(f',"signature":"{"A" * 88}","prev":"{ZEROS}"')


class Head(BaseModel):
    """Where the log ends; `<name>.head`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    seq: int
    hash: str
    key: str
    signature: str
    """Base64, of HEAD_DOMAIN and the canonical JSON of `seq` and `hash`."""

    @property
    def message(self) -> bytes:
        return HEAD_DOMAIN + canonical_json({"seq": self.seq, "hash": self.hash})


class Writing(NamedTuple):
    """A log that nobody else may add to now."""

    entries: list[Entry]
    """All that it has, verified."""
    add: Callable[[str, Mapping[str, Any]], Entry]
    """Append an entry of a type with these members."""


class _Reader(NamedTuple):
    """A public key and its id, read once for all entries."""

    key: Ed25519PublicKey
    id: str

    @classmethod
    def of(cls, path: Path) -> _Reader:
        key = read_public_key(path)
        return cls(key, key_id(key))


class SignedLog:
    """The log at a path, for any number of readers and writers."""

    def __init__(self, path: Path, writers: Mapping[str, Keys]) -> None:
        """`writers`: by type of entry, the key that may sign it."""
        self.path = path
        self.head_path = path.with_suffix(".head")
        self.writers = writers

    def entries(self) -> list[Entry]:
        """Every entry, oldest first, checked.

        Raises:
            ArtifactError: names the line where the log is not what was written.
        """
        return self._read()[0]

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """From reading the log to adding to it, nobody else may add.

        Raises:
            ArtifactError: the log is not what was written, or cannot be written now; then no part
                of the entry is left.
        """
        with disk_errors(self.path.name):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = lock_directory(self.path.parent)
            if lock is None:
                raise ArtifactError(f"{self.path.parent} was removed meanwhile")
            try:
                entries, size = self._read()

                def add(kind: str, members: Mapping[str, Any]) -> Entry:
                    nonlocal size
                    entry, size = self._append(entries, size, kind, members)
                    entries.append(entry)
                    return entry

                yield Writing(entries, add)
            finally:
                os.close(lock)

    def _read(self) -> tuple[list[Entry], int]:
        """All whole entries, and their bytes."""
        # The head first: read after the lines, it could name one that was written in between.
        head = self._head()
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            raw = b""
        except OSError as error:
            raise ArtifactError(f"{self.path}: cannot be read ({error.strerror})") from None
        size = raw.rfind(b"\n") + 1
        entries: list[Entry] = []
        keys: dict[Path, _Reader] = {}
        for line in raw[:size].split(b"\n")[:-1]:
            entries.append(self._next(line + b"\n", entries, keys))
        self._compare(head, entries)
        return entries, size

    def _next(self, line: bytes, before: list[Entry], keys: dict[Path, _Reader]) -> Entry:
        seq, digest = (before[-1].seq, before[-1].hash) if before else (0, ZEROS)
        try:
            entry = follow(line, seq, digest)
            if entry.type not in self.writers:
                raise ValueError("has a type that this version does not know")  # noqa: TRY301
            path = self.writers[entry.type].public_path
            if path not in keys:
                keys[path] = _Reader.of(path)
            _check_signature(line, entry, keys[path])
        except ValueError as error:
            raise ArtifactError(
                f"{self.path.name} line {len(before) + 1}: {error} - the log was changed or comes "
                "from another house; restore it, its head and the keys from a backup"
            ) from None
        return entry

    def _head(self) -> Head | None:
        try:
            head = Head.model_validate_json(self.head_path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            head = None
        if head is None or not self._signed_here(head):
            raise ArtifactError(
                f"{self.head_path.name} is not what this house signed - restore it, the log and "
                "the keys from a backup"
            )
        return head

    def _signed_here(self, head: Head) -> bool:
        paths = {keys.public_path for keys in self.writers.values()}
        known = (read_public_key(path) for path in sorted(paths) if path.exists())
        return any(
            key_id(key) == head.key and fits(key, head.message, head.signature) for key in known
        )

    def _compare(self, head: Head | None, entries: list[Entry]) -> None:
        if head is None:
            if len(entries) > 1:
                raise ArtifactError(f"{self.head_path.name} is missing - restore it from a backup")
        elif not 0 < head.seq <= len(entries):
            raise ArtifactError(
                f"{self.path.name} ends with entry {len(entries)}, and entry {head.seq} was signed "
                "as the last - the end was cut off; restore it from a backup"
            )
        elif entries[head.seq - 1].hash != head.hash:
            raise ArtifactError(
                f"{self.path.name} line {head.seq}: is not the entry that {self.head_path.name} "
                "names - restore both from a backup"
            )

    def _append(
        self, before: list[Entry], size: int, kind: str, members: Mapping[str, Any]
    ) -> tuple[Entry, int]:
        keys = self.writers[kind]
        keys.make()
        seq, digest = (before[-1].seq, before[-1].hash) if before else (0, ZEROS)
        line = _signed_line(keys, seq + 1, kind, members, digest)
        if len(line) > MAX_LINE_BYTES:
            raise ArtifactError(
                f"an entry of {len(line)} bytes is too long for {self.path.name} "
                f"(at most {MAX_LINE_BYTES}) - nothing was written"
            )
        entry = follow(line, seq, digest)
        with self.path.open("ab", buffering=0) as file:
            # A line that a crash tore was never written; it must not swallow this one.
            file.truncate(size)
            try:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301
                os.fsync(file.fileno())
                write_atomic(self.head_path, _head_of(keys, entry))
            except BaseException:
                if not self._names(entry):
                    os.ftruncate(file.fileno(), size)
                raise
        return entry, size + len(line)

    def _names(self, entry: Entry) -> bool:
        """Whether the head that is on the disk is this entry's already."""
        try:
            return bool(json.loads(self.head_path.read_bytes())["hash"] == entry.hash)
        except FileNotFoundError:
            return False


def _signed_line(keys: Keys, seq: int, kind: str, members: Mapping[str, Any], prev: str) -> bytes:
    now = time.time()
    named = {**members, "key": keys.key_id}
    message = open_line(seq, now, content(kind, named), prev) + b"}"
    signed = {**named, "signature": keys.sign(message, domain=DOMAIN)}
    return close_line(open_line(seq, now, content(kind, signed), prev))[0]


def _check_signature(line: bytes, entry: Entry, reader: _Reader) -> None:
    """Raises: ValueError, what is wrong with it."""
    if entry.members.get("key") != reader.id:
        raise ValueError("is not signed with the key that may write an entry of its type")
    covered = line[:-_HASH_BYTES]
    at = len(covered) - _END_BYTES
    found = _SIGNATURE.fullmatch(covered, max(at, 0))
    if found is None:
        raise ValueError("has no signature")
    message = covered[:at] + found[2] + b"}"
    if not fits(reader.key, DOMAIN + message, found[1].decode()):
        raise ValueError("has a signature that does not fit")


def _head_of(keys: Keys, entry: Entry) -> bytes:
    unsigned = Head(seq=entry.seq, hash=entry.hash, key=keys.key_id, signature="")
    message = unsigned.message.removeprefix(HEAD_DOMAIN)
    signature = keys.sign(message, domain=HEAD_DOMAIN)
    return unsigned.model_copy(update={"signature": signature}).model_dump_json().encode() + b"\n"
