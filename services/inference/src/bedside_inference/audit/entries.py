"""The files of the audit log, and where it ends; nothing here writes.

Segments hold the entries, which are lines of one hash chain (`bedside_core.chain`) over the bounds
of segments. `head`, a file of fixed size, says where the chain ends, so that an append reads
nothing else.

Tested in tests/inference/audit/test_chain.py.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bedside_core.errors import ArtifactError

MAX_LINE_BYTES = 1 << 16
SEGMENT = re.compile(r"segment-([0-9]{12,})\.jsonl")
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
