"""The writer of the audit: append-only segments that several processes share (see `entries`).

`head` says where the chain ends; its lock (flock) orders the writers. A writer that was killed
between line and head leaves a longer segment: whole lines are taken over, a torn one is cut, and an
entry says so. A segment that is shorter than the head was truncated: nothing is written any more
until somebody has looked. Only after a restart of the machine may the head be ahead, because lines
reach the disk later than that: then an entry says how many are missing, and the signed checkpoint
is what must still be there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bedside_core.chain import ZEROS, close_line, content, follow, open_line, parse
from bedside_core.files import sync
from bedside_inference.audit.entries import (
    HEAD,
    MAGIC,
    MAX_LINE_BYTES,
    AuditError,
    Head,
    boot_id,
    head_path,
    readers_path,
    segment_path,
    segments,
    unwritable,
    write_errors,
)


class Chain:
    """The end of the chain, open for appending; for any number of threads and processes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._mutex = threading.RLock()
        self._head = self._segment = -1
        self._first = 0

    def open(self, *, signed_seq: int = 0, signed_hash: str = ZEROS) -> None:
        """Open, or begin, the chain, and mend what a killed writer left.

        Args:
            signed_seq: number of an entry that must be there, by the last signed checkpoint.
            signed_hash: its hash, compared if it is the last one.

        Raises:
            AuditError: it cannot be written, or is shorter than it was.
        """
        with self._mutex, write_errors(self.directory):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._head = os.open(head_path(self.directory), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                self._check_user()
                os.close(os.open(readers_path(self.directory), os.O_RDONLY | os.O_CREAT, 0o600))
                with self._exclusive():
                    self._settle(signed_seq, signed_hash)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        with self._mutex:
            for handle in (self._head, self._segment):
                if handle >= 0:
                    os.close(handle)
            self._head = self._segment = -1
            self._first = 0

    def append(self, entry: bytes) -> Head:
        """Append one entry (see `bedside_core.chain.content`); returns where the chain ends then.

        Raises:
            AuditError: it was not written, and no part of it is left.
        """
        # As `writing` does, without the cost of three context managers: every request comes by.
        with self._mutex:
            self._check_open()
            try:
                fcntl.flock(self._head, fcntl.LOCK_EX)
                try:
                    return self._write(self._position(), entry)
                finally:
                    fcntl.flock(self._head, fcntl.LOCK_UN)
            except OSError as error:
                raise unwritable(self.directory, error) from error

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Several appends that belong together; nobody else writes in between.

        Raises:
            AuditError: the chain cannot be written.
        """
        with self._mutex, write_errors(self.directory), self._exclusive():
            yield Writer(self, self._position())

    def position(self) -> Head:
        """Where the chain ends now.

        Raises:
            AuditError: the chain cannot be written.
        """
        with self.writing() as write:
            return write.head

    def handle(self) -> int:
        """A new descriptor of the segment that is being written; the caller closes it."""
        with self._mutex:
            return os.dup(self._segment)

    def _check_user(self) -> None:
        if os.geteuid() == 0 != os.fstat(self._head).st_uid:
            raise AuditError(
                f"the audit log {self.directory} is not root's - run this as the gateway's user, "
                "which could not read what root writes"
            )

    def _check_open(self) -> None:
        if self._head < 0:
            raise AuditError(f"the audit log {self.directory} is closed")

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        self._check_open()
        fcntl.flock(self._head, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._head, fcntl.LOCK_UN)

    def _position(self) -> Head:
        head = Head.read(self._head)
        if head is None or not os.fstat(self._head).st_nlink:
            raise self._refusal("its file 'head' was removed or overwritten")
        if head.first != self._first:
            self._use(head.first, create=not head.size)
        found = os.fstat(self._segment)
        if not found.st_nlink:
            raise self._refusal(f"segment {head.first} was removed")
        if found.st_size != head.size:
            return self._mend(head, found.st_size)
        return head

    def _use(self, first: int, *, create: bool = False) -> None:
        path, flags = segment_path(self.directory, first), os.O_RDWR | os.O_APPEND
        try:
            handle = os.open(path, flags)
        except FileNotFoundError:
            if not create:
                raise self._refusal(f"segment {first} is missing") from None
            handle = os.open(path, flags | os.O_CREAT, 0o600)
            sync(self.directory)
        if self._segment >= 0:
            os.close(self._segment)
        self._segment, self._first = handle, first

    def _write(self, head: Head, entry: bytes, *, checkpoint: bool = False) -> Head:
        now = time.time()
        line, digest = close_line(open_line(head.seq + 1, now, entry, head.digest.hex()))
        if len(line) > MAX_LINE_BYTES:
            raise AuditError(f"an audit entry of {len(line)} bytes is too long - this is a bug")
        after = Head(
            head.first, head.size + len(line), head.seq + 1, digest, boot_id(),
            head.opened, 0 if checkpoint else head.unsigned + 1,
            now if checkpoint else head.signed,
        )  # fmt: skip
        try:
            if os.write(self._segment, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301
            self._put(after)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._segment, head.size)
                self._put(head)
            raise
        return after

    def _put(self, head: Head) -> None:
        if os.pwrite(self._head, HEAD.pack(MAGIC, *head), 0) != HEAD.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _rotate(self, head: Head) -> Head:
        """Begin a segment; the head names it before it is there, so that none is left over."""
        first = head.seq + 1
        fresh = head._replace(first=first, size=0, opened=time.time(), boot=boot_id())
        self._put(fresh)
        os.fdatasync(self._head)
        self._use(first, create=True)
        return fresh

    # What follows runs when a chain is opened, or when its segment and its head disagree.

    def _settle(self, signed_seq: int, signed_hash: str) -> None:
        head = self._settled(signed_seq)
        if head.seq == signed_seq and head.hash != signed_hash:
            raise self._refusal(f"entry {head.seq} is not the one that was signed")

    def _settled(self, signed_seq: int) -> Head:
        head = Head.read(self._head)
        present = segments(self.directory)
        if head is None and not present:
            if signed_seq:
                raise self._refusal(f"it is empty, though entry {signed_seq} was signed")
            return self._rotate(Head(1, 0, 0, bytes(32), boot_id(), time.time(), 0, 0.0))
        if head is None:
            return self._rebuild(present[-1], None, signed_seq)
        self._use(head.first, create=not head.size)
        size = os.fstat(self._segment).st_size
        if size < head.size or not self._ends_with(head):
            if head.boot != boot_id():
                return self._rebuild(head.first, head, signed_seq)
            if size >= head.size:
                raise self._refusal(f"the line of entry {head.seq} was changed")
        if size != head.size or segments(self.directory)[-1] > head.first:
            return self._mend(head, size, signed_seq)
        if head.seq < signed_seq:
            raise self._refusal(f"it ends at entry {head.seq}, though {signed_seq} was signed")
        return head

    def _ends_with(self, head: Head) -> bool:
        """Whether the segment's last line, up to the head, is the head's."""
        if not head.size:
            return True
        start = max(head.size - MAX_LINE_BYTES, 0)
        tail = os.pread(self._segment, head.size - start, start)
        try:
            entry = parse(tail[tail.rfind(b"\n", 0, -1) + 1 :])
        except ValueError:
            return False
        return (entry.seq, entry.hash) == (head.seq, head.hash)

    def _mend(self, head: Head, size: int, signed_seq: int = 0) -> Head:
        """Take over what stands beyond the head: a writer was killed between the two writes."""
        if size < head.size:
            raise self._refusal(
                f"segment {head.first} ends at byte {size}, and byte {head.size} was written"
            )
        reason = "writer_killed" if head.boot == boot_id() else "power_failure"
        return self._take_over(head, head, reason, signed_seq)

    def _rebuild(self, first: int, head: Head | None, signed_seq: int) -> Head:
        """Find the end without a head that can be trusted."""
        self._use(first)
        prev = self._before(first)
        start = Head(first, 0, first - 1, bytes.fromhex(prev), boot_id(), time.time(), 0, 0.0)
        reason = "head_lost" if head is None else "power_failure"
        return self._take_over(head, start, reason, signed_seq)

    def _take_over(self, head: Head | None, start: Head, reason: str, signed_seq: int) -> Head:
        end, torn = self._walk(start)
        if end.seq < signed_seq:
            raise self._refusal(f"it ends at entry {end.seq}, though {signed_seq} was signed")
        if segments(self.directory)[-1] > end.first:
            raise self._refusal(f"what followed entry {end.seq} is missing")
        if torn:
            os.ftruncate(self._segment, end.size)
        known = 0 if head is None else head.seq
        return self._write(
            end,
            content(
                "recovered",
                {
                    "reason": reason,
                    "dropped_bytes": torn,
                    "taken_over": max(end.seq - known, 0),
                    "missing": max(known - end.seq, 0),
                    "unrecorded": 0,
                },
            ),
        )

    def _walk(self, head: Head) -> tuple[Head, int]:
        """Follow the chain to its end; returns that and the bytes of a torn line after it."""
        while True:
            self._use(head.first)
            head, torn = self._walk_segment(head)
            following = segment_path(self.directory, head.seq + 1)
            if torn or not head.size or not following.exists():
                return head, torn
            head = head._replace(first=head.seq + 1, size=0, opened=time.time())

    def _walk_segment(self, head: Head) -> tuple[Head, int]:
        with segment_path(self.directory, head.first).open("rb") as file:
            file.seek(head.size)
            while line := file.readline(MAX_LINE_BYTES + 1):
                if not line.endswith(b"\n"):
                    return head, os.fstat(file.fileno()).st_size - head.size
                try:
                    entry = follow(line, head.seq, head.hash)
                except ValueError as error:
                    raise self._refusal(
                        f"segment {head.first} at byte {head.size}: the line {error}"
                    ) from None
                head = head._replace(
                    size=head.size + len(line), seq=entry.seq, digest=bytes.fromhex(entry.hash),
                    unsigned=0 if entry.members["type"] == "checkpoint" else head.unsigned + 1,
                )  # fmt: skip
        return head, 0

    def _before(self, first: int) -> str:
        """The hash that the first line of a segment must continue."""
        earlier = [number for number in segments(self.directory) if number < first]
        path = segment_path(self.directory, earlier[-1] if earlier else first)
        with path.open("rb") as file:
            if earlier:
                file.seek(max(path.stat().st_size - MAX_LINE_BYTES, 0))
                line = (file.readlines() or [b""])[-1]
            else:
                line = file.readline(MAX_LINE_BYTES + 1)
        try:
            entry = parse(line)
        except ValueError as error:
            if first == 1:
                return ZEROS
            raise self._refusal(f"{path.name}: the line that it continues {error}") from None
        return entry.hash if earlier else entry.prev

    def _refusal(self, problem: str) -> AuditError:
        return AuditError(
            f"the audit log {self.directory}: {problem} - nothing is served until somebody has "
            "looked: `bedside inference audit verify` names the place; restore the directory from "
            "a backup, or move it and checkpoint.json beside it away to begin a new chain"
        )


class Writer:
    """Appends while the lock is held; `head` is where the chain ends."""

    def __init__(self, chain: Chain, head: Head) -> None:
        self._chain, self.head = chain, head

    def __call__(self, entry: bytes, *, checkpoint: bool = False) -> Head:
        self.head = self._chain._write(self.head, entry, checkpoint=checkpoint)
        return self.head

    def rotate(self) -> Head:
        """Begin a new segment."""
        # On the disk before the head names another one: nobody looks at this one any more.
        os.fdatasync(self._chain._segment)
        self.head = self._chain._rotate(self.head)
        return self.head
