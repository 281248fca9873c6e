"""`bedside inference audit verify [FILE] | export fhir|syslog | retain | reidentify PSEUDONYM`."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from bedside_core.console import say
from bedside_core.errors import ConfigError
from bedside_core.run import Run
from bedside_inference.audit.fhir import EXPORTED, audit_event
from bedside_inference.audit.journal import AuditLog, audit_directory
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.audit.reader import snapshot
from bedside_inference.audit.reidentify import Find, Reidentification
from bedside_inference.audit.retention import retain
from bedside_inference.audit.syslog import deliver, read_cursor
from bedside_inference.audit.verify import Report, read_anchor, verify
from bedside_inference.config import InferenceConfig


def manage(config: InferenceConfig, run: Run, action: str, word: str | None, find: Find) -> None:
    """Check, hand on, shorten or open the audit log.

    Raises:
        ConfigError: another action, or a word too many or too few.
        AuditError: the log does not verify, or cannot be written.
        InputError: no such pseudonym or checkpoint; a SIEM that cannot be reached.
        PolicyError: a key that may not reidentify.
    """
    directory = audit_directory(config.audit, run.registry.home)
    match action, word:
        case "verify", _:
            say(_told(verify(directory, read_anchor(Path(word)) if word else None)))
        case "export", "fhir":
            _export_fhir(directory)
        case "export", "syslog":
            _export_syslog(config, directory)
        case "retain", None:
            _retain(config, directory)
        case "reidentify", str(pseudonym):
            _reidentify(config, directory, pseudonym, find)
        case "export", _:
            raise ConfigError("export to what? - `bedside inference audit export fhir | syslog`")
        case "reidentify", None:
            raise ConfigError("reidentify whom? - `bedside inference audit reidentify PSEUDONYM`")
        case "retain", _:
            raise ConfigError("audit retain takes no further word")
        case _:
            raise ConfigError(
                f"audit: unknown action {action!r} - use verify, export, retain or reidentify"
            )


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


def _export_fhir(directory: Path) -> None:
    site = socket.gethostname()
    with snapshot(directory) as chain:
        for place in chain.places():
            if place.entry.members["type"] in EXPORTED:
                say(json.dumps(audit_event(place.entry.members, site), separators=(",", ":")))


def _export_syslog(config: InferenceConfig, directory: Path) -> None:
    if config.audit.syslog is None:
        raise ConfigError("no receiver is configured - set inference.audit.syslog.host and ca_file")
    sent = deliver(directory, config.audit.syslog, socket.gethostname())
    say(f"{sent} events sent to {config.audit.syslog.host}:{config.audit.syslog.port}")


def _retain(config: InferenceConfig, directory: Path) -> None:
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


def _reidentify(config: InferenceConfig, directory: Path, pseudonym: str, find: Find) -> None:
    key = os.environ.get("BEDSIDE_API_KEY")
    if not key:
        raise ConfigError("BEDSIDE_API_KEY is not set - set it to a key that may reidentify")
    with AuditLog(directory, config.audit) as audit:
        door = Reidentification(audit, Pseudonyms(directory, config.audit), find)
        subject = door.ask(pseudonym, key)
    if subject is None:
        say("recorded; within 24 hours a second person with that right must run the same command")
    else:
        say(subject)
