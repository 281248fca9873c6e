"""What `bedside inference audit` does: verify, export, retain, reidentify."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path

from bedside_core.console import say
from bedside_core.errors import ConfigError, InputError
from bedside_inference.audit.fhir import EXPORTED, audit_event
from bedside_inference.audit.journal import AuditLog, audit_directory
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.audit.reader import snapshot
from bedside_inference.audit.reidentify import Find, Reidentification
from bedside_inference.audit.retention import retain
from bedside_inference.audit.syslog import deliver, read_cursor
from bedside_inference.audit.verify import Report, read_anchor, verify
from bedside_inference.config import InferenceConfig

_KEY_ID = re.compile(r"[0-9a-f]{8}")


def check(config: InferenceConfig, home: Path, checkpoint: Path | None) -> None:
    """Check the whole chain, and that it holds a checkpoint that was kept elsewhere.

    Raises:
        AuditError: the log does not verify.
        InputError: the file holds no checkpoint.
    """
    anchor = None if checkpoint is None else read_anchor(checkpoint)
    say(_told(verify(audit_directory(config.audit, home), anchor)))


def _told(report: Report) -> str:
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(report.entries.items()))
    lines = [
        f"the audit log is whole: {report.entries.total()} entries in {report.segments} segments",
        f"from {report.first} to {report.last}",
        counts,
    ]
    if report.deleted:
        lines.append(f"{report.deleted} older entries were deleted, with signed tombstones")
    if report.torn:
        lines.append(
            f"{report.torn} bytes of a line whose writer was killed follow; the next start of the "
            "gateway cuts them"
        )
    return "\n".join(lines)


def export_fhir(config: InferenceConfig, home: Path) -> None:
    """Print the log as FHIR AuditEvents, one a line.

    Raises:
        AuditError: the log does not verify.
    """
    directory = audit_directory(config.audit, home)
    site = socket.gethostname()
    with snapshot(directory) as chain:
        for place in chain.places():
            if place.entry.members["type"] in EXPORTED:
                say(json.dumps(audit_event(place.entry.members, site), separators=(",", ":")))


def export_syslog(config: InferenceConfig, home: Path) -> None:
    """Send what the house's SIEM does not have yet.

    Raises:
        ConfigError: no receiver is configured.
        InputError: it cannot be reached.
    """
    if config.audit.syslog is None:
        raise ConfigError("no receiver is configured - set inference.audit.syslog.host and ca_file")
    directory = audit_directory(config.audit, home)
    sent = deliver(directory, config.audit.syslog, socket.gethostname())
    say(f"{sent} events sent to {config.audit.syslog.host}:{config.audit.syslog.port}")


def shorten(config: InferenceConfig, home: Path) -> None:
    """Delete whole segments that are older than the retention allows.

    Raises:
        AuditError: the log does not verify, or cannot be written.
    """
    directory = audit_directory(config.audit, home)
    delivered = read_cursor(directory).seq if config.audit.syslog is not None else None
    with AuditLog(directory, config.audit) as audit:
        done = retain(audit, Pseudonyms(directory, config.audit), config.audit, delivered)
    say(
        f"{done.segments} segments with {done.records} entries deleted, and the keys of "
        f"{done.periods} pseudonym periods"
    )
    if done.undelivered:
        say(
            f"{done.undelivered} older segments stay until `bedside inference audit export syslog` "
            "has delivered them"
        )


def key_behind(config: InferenceConfig, home: Path, pseudonym: str) -> str:
    """The id of the API key behind a pseudonym, to be told to nobody.

    Raises:
        InputError: it is no pseudonym of this house, or not of a key.
    """
    directory = audit_directory(config.audit, home)
    found = Pseudonyms(directory, config.audit).key_of(pseudonym)
    if not _KEY_ID.fullmatch(found):
        raise InputError(
            "behind this pseudonym is no API key - whom the identity provider lets in, it must "
            "lock out"
        )
    return found


def open_pseudonym(config: InferenceConfig, home: Path, pseudonym: str, find: Find) -> None:
    """Record that the holder of a key asks for a person, and tell who it is once two have asked.

    Raises:
        ConfigError: no key is given.
        InputError: no such pseudonym.
        PolicyError: a key that may not reidentify, or the same holder again.
    """
    key = os.environ.get("BEDSIDE_API_KEY")
    if not key:
        raise ConfigError("BEDSIDE_API_KEY is not set - set it to a key that may reidentify")
    directory = audit_directory(config.audit, home)
    with AuditLog(directory, config.audit) as audit:
        door = Reidentification(audit, Pseudonyms(directory, config.audit), find)
        subject = door.ask(pseudonym, key)
    if subject is None:
        say("recorded; within 24 hours a second person with that right must run the same command")
    else:
        say(subject)
