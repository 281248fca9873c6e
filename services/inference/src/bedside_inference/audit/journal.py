"""The audit log as the gateway sees it: an entry before a request is served and one at its end.

Fails closed: what cannot be written raises, a finished record is kept until it can be, and until
then no request may begin. A thread signs checkpoints, begins new segments and forces lines to the
disk, so that an append only costs its own write.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from bedside_core import log
from bedside_core.chain import ZEROS, content, parse
from bedside_core.signing import Keys
from bedside_inference.audit.chain import Chain
from bedside_inference.audit.checkpoint import (
    Checkpoint,
    audit_keys,
    read_checkpoint,
    tombstone_message,
    write_checkpoint,
)
from bedside_inference.audit.entries import (
    AuditError,
    Head,
    segment_path,
    segments,
    write_errors,
)
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.audit.record import (
    OF_KEYS,
    RequestRecord,
    begin_content,
    died_content,
    request_content,
)
from bedside_inference.audit.refusals import Refusals
from bedside_inference.audit.workers import Worker, dead_workers
from bedside_inference.background import Recurring
from bedside_inference.config import AuditConfig

logger = logging.getLogger(__name__)

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_REQUEST_ID = re.compile(rb'"type":"(begin|request)",(?:"worker":"([0-9a-f]+)",)?"request_id":')


def audit_directory(config: AuditConfig, home: Path) -> Path:
    """Where the chain of a BEDSIDE_HOME lies."""
    return (config.directory or home / "gateway" / "audit").absolute()


def audited(config: AuditConfig, home: Path) -> Callable[..., None]:
    """`acts` for a command that may change something: the log is opened when it does."""

    def record(action: str, /, **ids: str | int) -> None:
        with AuditLog(audit_directory(config, home), config) as audit:
            acts(audit)(action, **ids)

    return record


def acts(audit: AuditLog) -> Callable[..., None]:
    """`admin` of an open log, with ids of API keys sealed."""
    seal = Pseudonyms(audit.directory, audit.config).of_key

    def record(action: str, /, **ids: str | int) -> None:
        sealed = {name: seal(str(ids[name])) for name in OF_KEYS if name in ids}
        audit.admin(action, **{**ids, **sealed})

    return record


class AuditLog:
    """One process's door to the audit; thread-safe. Start it after any fork.

    >>> with AuditLog(directory, config) as audit:
    ...     audit.begin(record)
    ...     audit.finish(record)
    """

    def __init__(self, directory: Path, config: AuditConfig, *, workers: int = 1) -> None:
        """`workers`: processes of one gateway that write to it."""
        self.directory, self.config = directory, config
        self._chain = Chain(directory)
        self._keys: Keys = audit_keys(directory)
        self._guard = threading.RLock()
        self._open: dict[str, int] = {}
        """Unfinished requests, oldest first, and the first number that their begins may have."""
        self._pending: dict[str, bytes] = {}
        """Finished requests that could not be written yet."""
        self._unrecorded = 0
        """Requests that never began and whose record could not be written."""
        self._refusals = Refusals(workers)
        self.free_bytes = 0
        """Of the disk, as last looked at."""
        self._failed = False
        self.keeping = Recurring(logger, "audit not kept", "audit kept again")
        """What the thread does; while it fails, lines may be written, but not be on the disk."""
        self._last = 0
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name="audit", daemon=True)

    def start(self) -> None:
        """Open the chain, complete the records of workers that died, and keep it signed.

        Raises:
            AuditError: the chain cannot be written or was shortened.
            ArtifactError: the signing key cannot be used.
        """
        with write_errors(self.directory):
            (self.directory.parent / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._keys.make()
        signed = read_checkpoint(self.directory)
        self._chain.open(
            signed_seq=signed.seq if signed else 0, signed_hash=signed.hash if signed else ZEROS
        )
        self._last = self._chain.position().seq
        try:
            with write_errors(self.directory):
                self._worker = Worker(self.directory / "workers")
                self._worker.note(self._last + 1)
                self._look_at_disk()
                self._bury()
        except BaseException:
            self._chain.close()
            raise
        self._thread.start()

    def close(self) -> None:
        """Sign and sync what is there; the next start completes requests that are still open.

        Raises:
            AuditError: finished records could not be written; they are completed likewise.
        """
        self._stop.set()
        self._wake.set()
        self._thread.join()
        try:
            self._tick(closing=True)
        finally:
            with self._guard:
                self._worker.leave(finished=not self._open)
                self._chain.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def writable(self) -> bool:
        """Whether the last attempts to write and to keep succeeded and nothing waits."""
        return not (self._failed or self.keeping.failing or self._pending)

    def begin(self, record: RequestRecord) -> None:
        """Write ahead that a request goes to the engine.

        Raises:
            AuditError: it was not written; the request must not be served.
        """
        entry = begin_content(record, self._worker.id)
        with self._guard:
            if self.keeping.failing:
                raise AuditError(f"the audit log {self.directory} does not reach the disk")
            self._retry()
            self._open[record.request_id] = self._last + 1
            try:
                self._append(entry)
            except AuditError:
                del self._open[record.request_id]
                raise

    def finish(self, record: RequestRecord) -> None:
        """Write the one complete record of a request, begun or not.

        Raises:
            AuditError: it was not written. The record of a begun request is kept and written as
                soon as that goes; one that never began is counted in the next `recovered` entry.
        """
        entry = request_content(record)
        with self._guard:
            begun = record.request_id in self._open
            if begun:
                self._pending[record.request_id] = entry
                self._retry()
                return
            try:
                self._retry()
                self._append(entry)
            except AuditError:
                self._unrecorded += 1
                raise

    def takes(self, record: RequestRecord, address: str) -> bool:
        """Whether a refusal before anybody was known gets a record, which `finish` writes.

        Otherwise it is counted, in the next `refused` entry.

        Args:
            record: of the request.
            address: the client's, whatever the record says of it.
        """
        with self._guard:
            return self._refusals.whole(address, record.route, record.outcome)

    def admin(self, action: str, **ids: str | int | None) -> None:
        """Write that somebody changed something.

        Args:
            action: a code, for example `key_revoked`.
            ids: of what was changed; no free text, no clear names.

        Raises:
            AuditError: it was not written; the change must not happen.
        """
        if not _CODE.fullmatch(action):
            raise ValueError("an action is a code of lower-case letters, digits and '_'")
        self.write("admin", action=action, ids=ids)

    def write(self, kind: str, **members: object) -> int:
        """Write an entry of another type; returns its number.

        Raises:
            AuditError: it was not written.
        """
        with self._guard:
            self._retry()
            return self._append(content(kind, members))

    def tombstone(self, **members: object) -> None:
        """Write, signed, what a segment held that will be deleted (see `retention`).

        Raises:
            AuditError: it was not written.
            ArtifactError: the signing key cannot be used.
        """
        self.write("tombstone", **members, signature=self._keys.sign(tombstone_message(members)))

    def sync(self) -> None:
        """Wait until everything that was written so far is on the disk, signed.

        Raises:
            AuditError: it could not be written.
            ArtifactError: the signing key cannot be used.
        """
        self._tick(closing=True)

    def _append(self, entry: bytes) -> int:
        try:
            if self._failed:
                self._note_gap()
            head = self._chain.append(entry)
        except AuditError:
            self._fail("audit entry not written")
            raise
        self._last = head.seq
        if (
            head.unsigned >= self.config.checkpoint_records
            or head.size >= self.config.segment_bytes
        ):
            self._wake.set()
        return head.seq

    def _note_gap(self) -> None:
        self._chain.append(
            content(
                "recovered",
                {
                    "reason": "unwritable",
                    "dropped_bytes": 0,
                    "taken_over": 0,
                    "missing": 0,
                    "unrecorded": self._unrecorded,
                },
            )
        )
        self._failed, self._unrecorded = False, 0
        logger.info("audit writable again")

    def _fail(self, event: str) -> None:
        if not self._failed:
            logger.error(event, exc_info=True)
        self._failed = True

    def _retry(self) -> None:
        while self._pending:
            request_id, entry = next(iter(self._pending.items()))
            self._append(entry)
            del self._pending[request_id]
            del self._open[request_id]

    def _keep(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(self.config.sync_seconds)
            self._wake.clear()
            # Whatever goes wrong: it is tried again, and until then nothing begins.
            with self.keeping.attempt():
                self._tick()

    def _look_at_disk(self) -> None:
        found = os.statvfs(self.directory)
        self.free_bytes = found.f_bavail * found.f_frsize
        scarce = self.free_bytes < self.config.reserve_bytes
        if scarce and not self._refusals.scarce:
            logger.warning("audit disk below its reserve", extra=log.fields(free=self.free_bytes))
        self._refusals.scarce = scarce

    def _count_refusals(self, *, closing: bool) -> None:
        if (members := self._refusals.due(closing=closing)) is not None:
            self._append(content("refused", members))
            self._refusals.written()

    def _tick(self, *, closing: bool = False) -> None:
        with self._guard:
            with write_errors(self.directory):
                self._look_at_disk()
            self._retry()
            if self._failed:
                self._note_gap()
            self._count_refusals(closing=closing)
        handle, checkpoint = self._sign(closing=closing)
        self._reach_disk(handle)
        if checkpoint is not None:
            with write_errors(self.directory):
                write_checkpoint(self.directory, checkpoint)
            logger.info("audit checkpoint", extra=log.fields(**checkpoint.model_dump()))
        with self._guard, write_errors(self.directory):
            self._worker.note(next(iter(self._open.values()), self._last + 1))

    def _reach_disk(self, handle: int) -> None:
        with write_errors(self.directory):
            try:
                os.fdatasync(handle)
            finally:
                os.close(handle)

    def _outgrown(self, head: Head) -> tuple[bool, bool]:
        """Whether the segment is full, and whether it is old."""
        age = time.time() - head.opened
        full = head.size >= self.config.segment_bytes
        return full, head.size > 0 and age >= self.config.segment_hours * 3600

    def _sign(self, *, closing: bool) -> tuple[int, Checkpoint | None]:
        """Sign and rotate if it is time; returns the segment that must reach the disk."""
        checkpoint = None
        if any(self._outgrown(self._chain.position())):
            # Most of it, before the lock: others append meanwhile, and little is left for `rotate`.
            self._reach_disk(self._chain.handle())
        with self._chain.writing() as write:
            head, now = write.head, time.time()
            full, old = self._outgrown(head)
            waited = not 0 <= now - head.signed < self.config.checkpoint_seconds
            many = head.unsigned >= self.config.checkpoint_records
            if head.unsigned and (full or old or waited or many or closing):
                checkpoint = Checkpoint.sign(self._keys, head.seq, head.hash)
                signed = {"of_seq": head.seq, "of_hash": head.hash}
                write(
                    content("checkpoint", {**signed, "signature": checkpoint.signature}),
                    checkpoint=True,
                )
            handle = self._chain.handle()
            if full or old:
                write.rotate()
        return handle, checkpoint

    def _bury(self) -> None:
        """Write the record of every request that died with its worker."""
        for dead in dead_workers(self.directory / "workers"):
            begun = self._begun(dead.id, dead.since)
            for entry in begun:
                self._append(died_content(entry))
            logger.warning(
                "audit of a dead worker completed",
                extra=log.fields(worker=dead.id, requests=len(begun)),
            )

    def _begun(self, worker: str, since: int) -> list[dict[str, object]]:
        """The begins of a dead worker, from an entry on, that have no end."""
        found: dict[object, dict[str, object]] = {}
        last = self._chain.position().seq
        firsts = segments(self.directory)
        start = max((first for first in firsts if first <= since), default=firsts[0])
        for first in firsts[firsts.index(start) :]:
            with segment_path(self.directory, first).open("rb") as file:
                for line in file:
                    match = _REQUEST_ID.search(line)
                    if match is None or (match[1] == b"begin" and match[2] != worker.encode()):
                        continue
                    try:
                        entry = parse(line)
                    except ValueError:
                        if not line.endswith(b"\n"):
                            break  # a neighbour is writing it
                        raise AuditError(f"{file.name}: a line was changed") from None
                    if entry.seq > last:
                        return list(found.values())
                    if match[1] == b"begin":
                        found[entry.members["request_id"]] = entry.members
                    else:
                        found.pop(entry.members["request_id"], None)
        return list(found.values())
