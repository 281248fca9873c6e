"""The format of audit entries: what a line is, and which files there are; nothing here writes.

A line is one JSON object, compact, in UTF-8, and a newline:
`{"seq":…,"time":…,"type":…,…,"prev":…,"hash":…}`. `hash` is the SHA-256 (hex) of the line's bytes
without the member `,"hash":"…"` and without the newline; `prev` is the hash of the line before,
over the bounds of segments, and 64 zeros at the very first. `seq` begins at 1 and grows by one; it
is the order, whatever the clock does.

`head`, a file of fixed size, says where the chain ends, so that an append reads nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from bedside_core.errors import ArtifactError

ZEROS = "0" * 64
MAX_LINE_BYTES = 1 << 16
SEGMENT = re.compile(r"segment-([0-9]{12,})\.jsonl")
_TAIL = re.compile(rb'"prev":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"}\n')
_TAIL_BYTES = len(f'"prev":"{ZEROS}","hash":"{ZEROS}"}}\n')
_HASH_BYTES = len(f',"hash":"{ZEROS}"}}\n')
HEAD = struct.Struct("<8sQQQ32s16sdQd")
MAGIC = b"bsaudit1"


class AuditError(ArtifactError):
    """The audit cannot be written, or does not verify."""


class Head(NamedTuple):
    """Where the chain ends."""

    first: int
    """The first `seq` of the segment that is being written; its name."""
    size: int
    """Of that segment, in bytes."""
    seq: int
    """Of the last entry; 0 before the first."""
    digest: bytes
    """The last entry's hash."""
    boot: bytes
    """The machine's boot that wrote this."""
    opened: float
    """When the segment began, Unix seconds."""
    unsigned: int
    """Entries since the last checkpoint."""
    signed: float
    """When the last checkpoint was written, Unix seconds; 0 before the first."""

    @property
    def hash(self) -> str:
        return self.digest.hex()

    @classmethod
    def read(cls, handle: int) -> Head | None:
        """The head in an open file; none if that holds something else."""
        raw = os.pread(handle, HEAD.size, 0)
        if len(raw) != HEAD.size or raw[:8] != MAGIC:
            return None
        return cls(*HEAD.unpack(raw)[1:])


class Entry(NamedTuple):
    """A line that holds together in itself."""

    members: dict[str, Any]
    prev: str
    hash: str

    @property
    def seq(self) -> int:
        return int(self.members["seq"])


def parse(line: bytes) -> Entry:
    """Read a whole line, newline included.

    Raises:
        ValueError: it is not one of ours, or does not match its own hash.
    """
    tail = _TAIL.fullmatch(line, max(len(line) - _TAIL_BYTES, 0))
    if tail is None:
        raise ValueError("is not a whole entry")
    digest = hashlib.sha256(line[:-_HASH_BYTES] + b"}").hexdigest()
    if digest != tail[2].decode():
        raise ValueError("does not match its hash")
    try:
        members = json.loads(line)
    except ValueError:
        raise ValueError("is not JSON") from None
    wanted = (("seq", int), ("type", str), ("time", str))
    if not isinstance(members, dict) or any(type(members.get(n)) is not t for n, t in wanted):
        raise ValueError("has no number, type or time")
    return Entry(members, tail[1].decode(), digest)


def follow(line: bytes, seq: int, digest: str) -> Entry:
    """Read the line that must come after the entry with this number and hash.

    Raises:
        ValueError: it does not.
    """
    entry = parse(line)
    if entry.seq != seq + 1:
        raise ValueError(f"has the number {entry.seq} where {seq + 1} follows")
    if entry.prev != digest:
        raise ValueError("does not continue the entry before it")
    return entry


def head_path(directory: Path) -> Path:
    return directory / "head"


def readers_path(directory: Path) -> Path:
    """Who reads locks it shared, who deletes segments exclusively."""
    return directory / "readers"


def segment_path(directory: Path, first: int) -> Path:
    return directory / f"segment-{first:012d}.jsonl"


def segments(directory: Path) -> list[int]:
    """The first numbers of the segments that are there, in order."""
    found = (SEGMENT.fullmatch(path.name) for path in directory.iterdir())
    return sorted(int(match[1]) for match in found if match)


@cache
def boot_id() -> bytes:
    """The kernel's random id of this boot, see random(4)."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except FileNotFoundError:
        # A sandbox that hides it: then every start counts as one of the same boot.
        return bytes(16)
    return bytes.fromhex(text.replace("-", ""))


@contextmanager
def write_errors(directory: Path) -> Iterator[None]:
    """Turn the system's errors into one that says what it means for the audit.

    Raises:
        AuditError: for any `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(directory, error) from error


def unwritable(directory: Path, error: OSError) -> AuditError:
    """The system's error in words that say what it means for the audit."""
    return AuditError(
        f"the audit log {directory} cannot be written ({error.strerror}) - give it space and the "
        "gateway's user the right to write; nothing is served until then"
    )
