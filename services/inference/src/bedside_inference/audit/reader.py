"""Reading the chain while it grows: a line counts only if it continues the one before.

Tested in tests/inference/audit/test_verify.py.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bedside_core.chain import ZEROS, Entry, follow, parse
from bedside_inference.audit.entries import (
    MAX_LINE_BYTES,
    AuditError,
    Head,
    head_path,
    readers_path,
    segment_path,
    segments,
)


class Place(NamedTuple):
    """An entry and where it stands."""

    segment: Path
    line: int
    """Counted from 1."""
    size: int
    """Of the line, in bytes."""
    entry: Entry


@dataclass(slots=True)
class Snapshot:
    """The chain up to one moment at which nobody wrote."""

    directory: Path
    head: Head
    firsts: list[int]
    """The segments, by their first numbers."""
    size: int
    """Of the last segment in bytes; beyond the head if a writer was just killed."""
    torn: int = field(default=0, init=False)
    """Bytes of a killed writer's last line, known at the end of `places`."""

    @property
    def bytes(self) -> int:
        """Of all segments."""
        return self.size + sum(
            segment_path(self.directory, first).stat().st_size for first in self.firsts[:-1]
        )

    def places(self, since: int = 0) -> Iterator[Place]:
        """Every entry, from the beginning of the segment that holds entry `since`.

        Raises:
            AuditError: names the place where the chain breaks.
        """
        start = max((first for first in self.firsts if first <= since), default=self.firsts[0])
        seq, digest = start - 1, None if start > 1 else ZEROS
        for first in self.firsts[self.firsts.index(start) :]:
            path = segment_path(self.directory, first)
            if first != seq + 1:
                raise AuditError(
                    f"{path.name} line 1 (entry {first}): follows entry {seq} - what was between "
                    "them is missing"
                )
            for place in self._lines(path, seq, digest):
                yield place
                seq, digest = place.entry.seq, place.entry.hash
                if seq == self.head.seq and digest != self.head.hash:
                    raise AuditError(
                        f"{path.name} line {place.line} (entry {seq}): is not the entry that "
                        "was written last"
                    )
        if seq < self.head.seq:
            raise AuditError(
                f"{segment_path(self.directory, self.firsts[-1]).name}: ends with entry {seq}, and "
                f"entry {self.head.seq} was written - the end was cut off"
            )

    def _lines(self, path: Path, seq: int, digest: str | None) -> Iterator[Place]:
        last = path == segment_path(self.directory, self.firsts[-1])
        left = self.size if last else path.stat().st_size
        if not left:
            return
        with path.open("rb") as file:
            number = 0
            while left > 0 and (line := file.readline(min(left, MAX_LINE_BYTES + 1))):
                number += 1
                left -= len(line)
                if last and seq >= self.head.seq and not line.endswith(b"\n"):
                    self.torn = len(line)
                    return
                try:
                    entry = parse(line) if digest is None else follow(line, seq, digest)
                except ValueError as error:
                    raise AuditError(
                        f"{path.name} line {number} (entry {seq + 1}): {error}"
                    ) from None
                if entry.seq != seq + 1:
                    raise AuditError(
                        f"{path.name} line {number} (entry {seq + 1}): has the number {entry.seq}"
                    )
                yield Place(path, number, len(line), entry)
                seq, digest = entry.seq, entry.hash


@contextmanager
def snapshot(directory: Path, *, deleting: bool = False) -> Iterator[Snapshot]:
    """Hold the chain's segments in place and read them up to now; the gateway goes on writing.

    Args:
        directory: of the chain.
        deleting: whether segments will go, which nobody may be reading then.

    Raises:
        AuditError: there is no chain, or segments too many.
    """
    try:
        readers = os.open(readers_path(directory), os.O_RDONLY)
        head = os.open(head_path(directory), os.O_RDONLY)
    except FileNotFoundError:
        raise AuditError(
            f"no audit log in {directory}, or its file 'head' is gone - name the right BEDSIDE_HOME"
        ) from None
    except OSError as error:
        raise AuditError(f"the audit log {directory}: {error.strerror}") from None
    try:
        fcntl.flock(readers, fcntl.LOCK_EX if deleting else fcntl.LOCK_SH)
        fcntl.flock(head, fcntl.LOCK_SH)
        taken = _take(directory, Head.read(head))
        fcntl.flock(head, fcntl.LOCK_UN)
        yield taken
    finally:
        os.close(head)
        os.close(readers)


def _take(directory: Path, head: Head | None) -> Snapshot:
    if head is None:
        raise AuditError(f"the audit log {directory}: its file 'head' was overwritten")
    firsts = segments(directory)
    path = segment_path(directory, head.first)
    if head.first not in firsts:
        if head.size:
            raise AuditError(f"{path.name} line 1 (entry {head.first}): is missing")
        # A rotation that was cut short: the segment is named, and nothing is in it.
        return Snapshot(directory, head, [*firsts, head.first], 0)
    if firsts[-1] != head.first:
        other = segment_path(directory, firsts[-1])
        raise AuditError(f"{other.name} line 1 (entry {firsts[-1]}): is not part of the chain")
    return Snapshot(directory, head, firsts, path.stat().st_size)
