"""Whether the audit log is what was written: chain, signatures, deletions and anchors.

Covered: any byte that was changed, any line that was removed, inserted or moved, a log that was cut
at its end, a segment that is gone without a signed tombstone, a log that was replaced as a whole
(against checkpoint.json, or a checkpoint line from the ordinary log, kept elsewhere).
Not covered: entries after the last checkpoint that somebody with the right to write made anew
together with the file `head`.
"""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from bedside_core.errors import InputError
from bedside_core.progress import Progress
from bedside_core.signing import read_public_key
from bedside_inference.audit.checkpoint import (
    Checkpoint,
    audit_keys,
    fits,
    read_checkpoint,
    tombstone_message,
)
from bedside_inference.audit.entries import AuditError
from bedside_inference.audit.reader import Place, snapshot

LONG_BYTES = 1 << 24
"""From here on progress is shown."""
_STEP_BYTES = 1 << 20


@dataclass(slots=True)
class Report:
    """What a log that verifies holds."""

    segments: int
    deleted: int = 0
    """Entries that tombstones stand for."""
    torn: int = 0
    """Bytes of a killed writer's last line; the next start of the gateway cuts them."""
    first: str | None = None
    last: str | None = None
    """When the first and the last entry were written, RFC 3339."""
    entries: Counter[str] = field(default_factory=Counter)
    """By type."""


def read_anchor(path: Path) -> Checkpoint:
    """A checkpoint from a file: its JSON line as it stands in the log.

    Raises:
        InputError: there is none.
    """
    try:
        return Checkpoint.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise InputError(
            f"{path}: not a checkpoint - give a file with one JSON line 'audit checkpoint' of the "
            "gateway's log"
        ) from None


def verify(directory: Path, anchor: Checkpoint | None = None) -> Report:
    """Check every entry; memory does not grow with the log.

    Raises:
        AuditError: names segment, line and entry of what is wrong.
        InputError: the anchor is older than what is kept.
        ArtifactError: there is no public key.
    """
    # Before the chain, so that it is not ahead of it.
    kept = read_checkpoint(directory)
    with snapshot(directory) as chain:
        key = read_public_key(audit_keys(directory).public_path)
        if anchor is not None:
            anchor.verify(key)
        report = Report(segments=len(chain.firsts))
        check = _Check(key, kept, anchor)
        total, read = chain.bytes, 0
        with (
            Progress("verify", total=total, unit="B")
            if total >= LONG_BYTES
            else nullcontext() as bar
        ):
            for place in chain.places():
                members = place.entry.members
                check(place)
                report.entries[members["type"]] += 1
                report.first = report.first or members["time"]
                report.last = members["time"]
                read += place.size
                if bar is not None and read >= _STEP_BYTES:
                    bar.update(read)
                    read = 0
            if bar is not None:
                bar.update(read)
        check.end(chain.head.seq)
        report.torn, report.deleted = chain.torn, check.deleted
    # Looked for again: the first ones may have been signed meanwhile.
    if report.entries["checkpoint"] > 1 and read_checkpoint(directory) is None:
        raise AuditError(
            f"checkpoint.json is missing beside {directory} - restore it from a backup, or give "
            "a checkpoint of the log"
        )
    return report


class _Check:
    """What is beyond one line and its neighbour."""

    def __init__(
        self, key: Ed25519PublicKey, kept: Checkpoint | None, anchor: Checkpoint | None
    ) -> None:
        self.key, self.anchor = key, anchor
        self.points = [point for point in (kept, anchor) if point is not None]
        self.deleted = 0
        self.begin: tuple[Place, str] | None = None
        """The first entry that is there, and the hash that it continues, until a tombstone
        accounts for what was before."""
        self.first = 0
        self.buried: tuple[int, str] | None = None

    def __call__(self, place: Place) -> None:
        entry = place.entry
        if not self.first:
            self.first = entry.seq
            if entry.seq > 1:
                self.begin = place, entry.prev
        for point in self.points:
            if point.seq == entry.seq and point.hash != entry.hash:
                raise _wrong(place, "is not the entry that was signed in a checkpoint")
        try:
            if entry.members["type"] == "checkpoint":
                self._checkpoint(place)
            elif entry.members["type"] == "tombstone":
                self._tombstone(place)
        except (KeyError, ValidationError):
            raise _wrong(place, "lacks what an entry of its type has") from None

    def _checkpoint(self, place: Place) -> None:
        members = place.entry.members
        if (members["of_seq"], members["of_hash"]) != (place.entry.seq - 1, place.entry.prev):
            raise _wrong(place, "is a checkpoint of another entry than the one before it")
        point = Checkpoint(
            seq=members["of_seq"], hash=members["of_hash"], signature=members["signature"]
        )
        try:
            point.verify(self.key)
        except AuditError as error:
            raise _wrong(place, f"{error}") from None

    def _tombstone(self, place: Place) -> None:
        members = place.entry.members
        if not fits(self.key, tombstone_message(members), members["signature"]):
            raise _wrong(place, "is a tombstone that is not signed with this house's audit key")
        if self.buried is not None and self.buried[0] + 1 != members["first_seq"]:
            raise _wrong(place, "is a tombstone that does not continue the one before it")
        self.buried = members["last_seq"], members["last_hash"]
        if self.begin is not None and self.buried == (self.first - 1, self.begin[1]):
            self.begin = None
            self.deleted = self.first - 1

    def end(self, last: int) -> None:
        if self.begin is not None:
            place, _ = self.begin
            raise _wrong(place, "what was before it is missing, and no tombstone stands for it")
        for point in self.points:
            if point.seq > last:
                raise AuditError(
                    f"the log ends with entry {last}, and entry {point.seq} was signed in a "
                    "checkpoint - the end was cut off, or the log was replaced"
                )
        if self.anchor is not None and self.anchor.seq < self.first:
            raise InputError(
                f"the checkpoint is of entry {self.anchor.seq}, and what is kept begins with "
                f"{self.first} - give a newer one"
            )


def _wrong(place: Place, problem: str) -> AuditError:
    return AuditError(
        f"{place.segment.name} line {place.line} (entry {place.entry.seq}): {problem}"
    )
