"""The registry's log: a file of entries that are chained (`chain`) and each signed by its writer.

Before `prev`, an entry has `"key":"<key id>","signature":"<base64>"`. What is signed is DOMAIN and
the line's bytes without the members `signature` and `hash`; so a signature stands for everything
that came before, too. A type of entry counts only under the key that may write it. Which keys these
are, the log says itself: it begins with an entry `keys`, and each later one changes them
(`keyring`). Whose log it is, only the `pin` says, which is compared at every reading.

Beside the log, `<name>.head` names its last entry, signed by the same key. It is written when the
line is on the disk, so that it never names one that a crash lost: a torn last line that it does not
name was never written, and the next writer cuts it; a log that ends before it was cut by somebody.

Found: any byte that was changed, any line that was removed, inserted, moved or doubled, an end that
was cut off, an entry under a wrong or foreign key, a log that was removed or replaced by another
house's, whatever came along with it. An earlier log of this house, put back together with its head
of that time, is found by who holds a key that has signed since (`remembered`), and by nobody else.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.chain import ZEROS, Entry, close_line, content, follow, open_line
from bedside_core.config import canonical_json
from bedside_core.errors import ArtifactError
from bedside_core.files import disk_errors, lock_directory, write_atomic
from bedside_core.registry import remembered
from bedside_core.registry.keyring import TYPE, HouseKey, Keyring, Role, with_former
from bedside_core.registry.pin import Pin
from bedside_core.signing import KEY_ID_CHARS, Keys

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


class Log(NamedTuple):
    """A log as it was read and verified."""

    entries: list[Entry]
    """Oldest first."""
    ring: Keyring
    size: int
    """Bytes of all whole entries."""


class SignedLog:
    """The log at a path, for any number of readers and writers."""

    def __init__(
        self, path: Path, roles: Mapping[str, Role], keys: Mapping[Role, Keys], pin: Pin
    ) -> None:
        """Read nothing yet.

        Args:
            path: the file.
            roles: by type of entry, whose key may sign it.
            keys: the key pairs; a writer needs the private half of the one that it signs with.
            pin: what the log must agree with.
        """
        self.path = path
        self.head_path = path.with_suffix(".head")
        self.roles = roles
        self.keys = keys
        self.pin = pin

    def entries(self) -> list[Entry]:
        """Every entry, oldest first, checked.

        Raises:
            ArtifactError: names the line where the log is not what was written, or says that it
                is not the pinned house's.
        """
        return self.read().entries

    def read(self, *, pinned: bool = True) -> Log:
        """All whole entries and the keys that they leave, checked.

        Args:
            pinned: whether to compare with the pin; only who sets the pin does not.

        Raises:
            ArtifactError: see `entries`.
        """
        # These first: read after the lines, they could name one that was written in between.
        noted = remembered.recall(keys.private_path for keys in self.keys.values())
        head = self._head()
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            raw = b""
        except OSError as error:
            raise ArtifactError(f"{self.path}: cannot be read ({error.strerror})") from None
        log = Log([], Keyring(), raw.rfind(b"\n") + 1)
        for line in raw[: log.size].split(b"\n")[:-1]:
            log.entries.append(self._next(line + b"\n", log))
        self._compare(head, log)
        remembered.check(noted, log.entries, self.path)
        if pinned:
            self.pin.check(log.ring, self.path)
        return log

    @contextmanager
    def writing(self, *, pinned: bool = True) -> Iterator[Writing]:
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
                yield Writing(self, self.read(pinned=pinned))
            finally:
                os.close(lock)

    def _next(self, line: bytes, log: Log) -> Entry:
        before = log.entries
        seq, digest = (before[-1].seq, before[-1].hash) if before else (0, ZEROS)
        try:
            entry = follow(line, seq, digest)
            if entry.type == TYPE:
                log.ring.introduce(entry)
            elif not before:
                raise ValueError("is not the entry `keys` that a log begins with")  # noqa: TRY301
            elif entry.type not in self.roles:
                raise ValueError("has a type that this version does not know")  # noqa: TRY301
            _check_signature(line, entry, log.ring[self._role(entry.type)])
        except ValueError as error:
            raise ArtifactError(
                f"{self.path.name} line {len(before) + 1}: {error} - the log was changed or comes "
                "from another house; restore it and its head from a backup"
            ) from None
        return entry

    def _role(self, kind: str) -> Role:
        return "operator" if kind == TYPE else self.roles[kind]

    def _head(self) -> Head | None:
        try:
            return Head.model_validate_json(self.head_path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            raise self._foreign_head() from None

    def _foreign_head(self) -> ArtifactError:
        return ArtifactError(
            f"{self.head_path.name} is not what this house signed - restore it and the log from a "
            "backup"
        )

    def _compare(self, head: Head | None, log: Log) -> None:
        entries = log.entries
        if head is None:
            if len(entries) > 1:
                raise ArtifactError(f"{self.head_path.name} is missing - restore it from a backup")
            return
        if head.seq > len(entries):
            raise ArtifactError(
                f"{self.path.name} ends with entry {len(entries)}, and entry {head.seq} was signed "
                "as the last - the end was cut off; restore it from a backup"
            )
        named = entries[head.seq - 1] if head.seq > 0 else None
        key = log.ring.find(head.key)
        if named is None or key is None or named.members["key"] != key.id:
            raise self._foreign_head()
        if not key.fits(head.message, head.signature):
            raise self._foreign_head()
        if named.hash != head.hash:
            raise ArtifactError(
                f"{self.path.name} line {head.seq}: is not the entry that {self.head_path.name} "
                "names - restore both from a backup"
            )

    def names(self, entry: Entry) -> bool:
        """Whether the head that is on the disk is this entry's already."""
        try:
            return bool(json.loads(self.head_path.read_bytes())["hash"] == entry.hash)
        except FileNotFoundError:
            return False


class Writing:
    """A log that nobody else may add to now."""

    def __init__(self, log: SignedLog, read: Log) -> None:
        self._log = log
        self.entries = read.entries
        """All that it has, verified; what is added follows."""
        self.ring = read.ring
        self._size = read.size

    def add(self, kind: str, members: Mapping[str, Any]) -> Entry:
        """Append an entry of a type with these members.

        Raises:
            ArtifactError: there is no key for it here, or not the one that counts; or it cannot be
                written, and no part of it is left.
        """
        log = self._log
        if not self.ring:
            raise ArtifactError(
                f"{log.path.parent} has no keys yet - make them with `bedside registry init`"
            )
        role = log.roles[kind]
        signer = log.keys[role]
        if signer.key_id != self.ring[role].id:
            raise ArtifactError(
                f"{signer.private_path} holds the key {signer.key_id}, and the house's {role} key "
                f"is {self.ring[role].id} - restore it from a backup; if a rotation was "
                "interrupted, run its command again"
            )
        return self._append(kind, members, signer)

    def add_keys(self, members: Mapping[str, Any], signer: Keys, former: Keys | None) -> Entry:
        """Append an entry `keys`, signed with the operator key that it names.

        Args:
            members: see `keyring.introduction`.
            signer: the operator key that counts from now on.
            former: the one before it, if that is another and still here.

        Raises:
            ArtifactError: it cannot be written, and no part of it is left.
        """
        named = members["operator"]["fingerprint"][:KEY_ID_CHARS]
        if signer.key_id != named:
            raise ArtifactError(
                f"{signer.private_path} holds the key {signer.key_id}, and the operator key is "
                f"{named} - restore it from a backup"
            )
        if former is not None:
            prev = self.entries[-1].hash if self.entries else ZEROS
            members = with_former(members, former, prev)
        entry = self._append(TYPE, members, signer)
        self.ring.introduce(entry)
        return entry

    def _append(self, kind: str, members: Mapping[str, Any], keys: Keys) -> Entry:
        log, size = self._log, self._size
        seq, digest = (self.entries[-1].seq, self.entries[-1].hash) if self.entries else (0, ZEROS)
        line = _signed_line(keys, seq + 1, kind, members, digest)
        if len(line) > MAX_LINE_BYTES:
            raise ArtifactError(
                f"an entry of {len(line)} bytes is too long for {log.path.name} "
                f"(at most {MAX_LINE_BYTES}) - nothing was written"
            )
        entry = follow(line, seq, digest)
        with log.path.open("ab", buffering=0) as file:
            # A line that a crash tore was never written; it must not swallow this one.
            file.truncate(size)
            try:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301
                os.fsync(file.fileno())
                write_atomic(log.head_path, _head_of(keys, entry))
            except BaseException:
                if not log.names(entry):
                    os.ftruncate(file.fileno(), size)
                raise
        self._size = size + len(line)
        remembered.remember(keys.private_path, entry)
        self.entries.append(entry)
        return entry


def _signed_line(keys: Keys, seq: int, kind: str, members: Mapping[str, Any], prev: str) -> bytes:
    now = time.time()
    named = {**members, "key": keys.key_id}
    message = open_line(seq, now, content(kind, named), prev) + b"}"
    signed = {**named, "signature": keys.sign(message, domain=DOMAIN)}
    return close_line(open_line(seq, now, content(kind, signed), prev))[0]


def _check_signature(line: bytes, entry: Entry, key: HouseKey) -> None:
    """Raises: ValueError, what is wrong with it."""
    if entry.members.get("key") != key.id:
        raise ValueError("is not signed with the key that may write an entry of its type")
    covered = line[:-_HASH_BYTES]
    at = len(covered) - _END_BYTES
    found = _SIGNATURE.fullmatch(covered, max(at, 0))
    if found is None:
        raise ValueError("has no signature")
    message = covered[:at] + found[2] + b"}"
    if not key.fits(DOMAIN + message, found[1].decode()):
        raise ValueError("has a signature that does not fit")


def _head_of(keys: Keys, entry: Entry) -> bytes:
    unsigned = Head(seq=entry.seq, hash=entry.hash, key=keys.key_id, signature="")
    message = unsigned.message.removeprefix(HEAD_DOMAIN)
    signature = keys.sign(message, domain=HEAD_DOMAIN)
    return unsigned.model_copy(update={"signature": signature}).model_dump_json().encode() + b"\n"
