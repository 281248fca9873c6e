"""Deleting what is old: whole segments, each leaving a signed tombstone in the chain."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from bedside_core import log
from bedside_core.files import sha256_file, sync
from bedside_inference.audit.entries import segment_path, write_errors
from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.audit.reader import Snapshot, snapshot
from bedside_inference.audit.record import sealed_in
from bedside_inference.config import AuditConfig

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Segment:
    """What a segment held."""

    first_seq: int
    last_seq: int = 0
    last_hash: str = ""
    records: int = 0
    first_time: str = ""
    last_time: str = ""
    periods: set[int] = field(default_factory=set)
    """Of what is sealed in it."""


@dataclass(slots=True)
class Retained:
    """What was deleted and what had to stay."""

    segments: int = 0
    records: int = 0
    undelivered: int = 0
    """Old segments that stay because the SIEM does not have all of their records."""
    periods: int = 0
    """Pseudonym keys that were deleted."""


def retain(
    audit: AuditLog, pseudonyms: Pseudonyms, config: AuditConfig, delivered: int | None
) -> Retained:
    """Delete the segments whose last entry is older than `retention_days`.

    Args:
        audit: started.
        pseudonyms: of the same house; keys that no entry needs any more go too.
        config: says how long entries are kept.
        delivered: number of the last entry that the SIEM has; none if there is no SIEM.

    Raises:
        AuditError: the log does not verify, or a tombstone cannot be written.
    """
    # Signs the open segment, and begins another one if it is old.
    audit.sync()
    done = Retained()
    limit = datetime.fromtimestamp(time.time(), UTC) - timedelta(days=config.retention_days)
    with snapshot(audit.directory, deleting=True) as chain:
        held, buried = _read(chain)
        # Only the oldest may go, whatever the clock did: what is kept stays one chain.
        old = list(takewhile(lambda s: datetime.fromisoformat(s.last_time) < limit, held[:-1]))
        ready = [s for s in old if delivered is None or s.last_seq <= delivered]
        done.undelivered = len(old) - len(ready)
        for segment in ready:
            if segment.first_seq not in buried:
                _bury(audit, segment)
        audit.sync()
        with write_errors(audit.directory):
            for segment in ready:
                segment_path(audit.directory, segment.first_seq).unlink()
                done.segments += 1
                done.records += segment.records
            sync(audit.directory)
        done.periods = pseudonyms.forget({p for s in held[len(ready) :] for p in s.periods})
    return done


def _read(chain: Snapshot) -> tuple[list[Segment], set[int]]:
    """What each segment holds, and the first numbers of those that have a tombstone already."""
    held = {first: Segment(first) for first in chain.firsts}
    buried = set()
    for place in chain.places():
        entry = place.entry
        if place.line == 1:
            segment = held[entry.seq]
            segment.first_time = entry.members["time"]
        segment.last_seq, segment.last_hash = entry.seq, entry.hash
        segment.last_time = entry.members["time"]
        segment.records += 1
        segment.periods |= {int(found.partition(".")[0]) for found in sealed_in(entry.members)}
        if entry.members["type"] == "tombstone":
            buried.add(entry.members["first_seq"])
    return [held[first] for first in chain.firsts], buried


def _bury(audit: AuditLog, segment: Segment) -> None:
    path = segment_path(audit.directory, segment.first_seq)
    audit.tombstone(
        segment=path.name,
        first_seq=segment.first_seq,
        last_seq=segment.last_seq,
        last_hash=segment.last_hash,
        records=segment.records,
        first_time=segment.first_time,
        last_time=segment.last_time,
        sha256=sha256_file(path),
    )
    logger.info(
        "audit segment deleted",
        extra=log.fields(segment=path.name, records=segment.records, last=segment.last_seq),
    )
