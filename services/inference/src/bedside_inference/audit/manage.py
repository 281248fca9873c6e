"""What `bedside inference audit` does: verify, export, usage, retain, reidentify."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

from bedside_core.console import say
from bedside_core.errors import ConfigError, InputError
from bedside_inference.audit.departments import Departments
from bedside_inference.audit.fhir import EXPORTED, audit_event
from bedside_inference.audit.journal import AuditLog, audit_directory
from bedside_inference.audit.pseudonyms import KEY_ACT, Pseudonyms
from bedside_inference.audit.reader import snapshot
from bedside_inference.audit.record import is_sealed, sealed_in, without_clear_ids
from bedside_inference.audit.reidentify import Find, Reidentification
from bedside_inference.audit.retention import retain
from bedside_inference.audit.syslog import deliver, read_cursor
from bedside_inference.audit.usage import Format, rendered, usage
from bedside_inference.audit.verify import Report, read_anchor, verify
from bedside_inference.config import InferenceConfig

_KEY_ID = re.compile(r"[0-9a-f]{8}")
Subjects = Callable[[str], frozenset[str]]
"""All subjects of the person who has one."""


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
    departments = Departments(config.audit.smallest_group)
    with snapshot(directory) as chain:
        for place in chain.places():
            departments.add(place.entry.members)
        for place in chain.places():
            if place.entry.members["type"] in EXPORTED:
                _print(audit_event(departments.coarse(place.entry.members), site))


def export_pseudonym(config: InferenceConfig, home: Path, pseudonym: str) -> None:
    """Print every entry that holds a pseudonym, one a line, without what would tell whose it is.

    Raises:
        AuditError: the log does not verify.
        InputError: it is no pseudonym.
    """
    if not is_sealed(pseudonym):
        raise InputError("this is no pseudonym - copy it as it stands in the audit log")
    _print_entries(config, home, {pseudonym})


def export_person(
    config: InferenceConfig, home: Path, who: str, find: Find, subjects: Subjects
) -> None:
    """Print every entry about a person, over all periods and keys, once two people have asked.

    Args:
        config: of the gateway.
        home: the house.
        who: a pseudonym, a key's id, or issuer and subject of a token as `ISSUER|SUBJECT`.
        find: tells what key somebody has.
        subjects: tells under which other subjects a person is known.

    Raises:
        ConfigError: no key is given.
        InputError: no such pseudonym.
        PolicyError: a key that may not reidentify, or the same person again.
    """
    house = Pseudonyms(audit_directory(config.audit, home), config.audit)
    subject = _asked(config, home, who if is_sealed(who) else house.of(who), find)
    if subject is not None:
        known = subjects(subject.removeprefix(KEY_ACT))
        _print_entries(config, home, {name for one in known for name in house.all_of(one)})


def _print_entries(config: InferenceConfig, home: Path, names: set[str]) -> None:
    with snapshot(audit_directory(config.audit, home)) as chain:
        for place in chain.places():
            if not names.isdisjoint(sealed_in(place.entry.members)):
                _print(without_clear_ids(place.entry.members))


def _print(value: object) -> None:
    say(json.dumps(value, separators=(",", ":")))


def tell_usage(config: InferenceConfig, home: Path, form: Format) -> None:
    """Print how much each department asked in each month.

    Raises:
        AuditError: the log does not verify.
    """
    with snapshot(audit_directory(config.audit, home)) as chain:
        say(rendered(usage(chain, config.audit.smallest_group), form))


def export_syslog(config: InferenceConfig, home: Path) -> None:
    """Send what the house's SIEM does not have yet.

    Raises:
        ConfigError: no receiver is configured.
        InputError: it cannot be reached.
    """
    if config.audit.syslog is None:
        raise ConfigError("no receiver is configured - set inference.audit.syslog.host and ca_file")
    directory = audit_directory(config.audit, home)
    site, smallest = socket.gethostname(), config.audit.smallest_group
    sent = deliver(directory, config.audit.syslog, site, smallest)
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
            "behind this pseudonym is no API key but somebody whom the identity provider lets in - "
            "`bedside inference persons lock-out PSEUDONYM`"
        )
    return found


def person_behind(config: InferenceConfig, home: Path, who: str) -> tuple[str, str]:
    """A person of the identity provider, to be told to nobody, and a pseudonym of hers.

    Args:
        config: of the audit.
        home: BEDSIDE_HOME.
        who: a pseudonym, or the token's `ISSUER|SUBJECT`.

    Raises:
        InputError: it is no pseudonym of this house, or that of an API key.
    """
    pseudonyms = Pseudonyms(audit_directory(config.audit, home), config.audit)
    if "|" in who:
        return who, pseudonyms.of(who)
    found = pseudonyms.reveal(who)
    if "|" not in found:
        raise InputError(
            "behind this pseudonym is nobody of the identity provider - of a key: `bedside "
            "inference keys revoke --pseudonym PSEUDONYM`"
        )
    return found, who


def open_pseudonym(config: InferenceConfig, home: Path, pseudonym: str, find: Find) -> None:
    """Record that the holder of a key asks for a person, and tell who it is once two have asked.

    Raises:
        ConfigError: no key is given.
        InputError: no such pseudonym.
        PolicyError: a key that may not reidentify, or the same holder again.
    """
    subject = _asked(config, home, pseudonym, find)
    if subject is not None:
        say(subject)


def _asked(config: InferenceConfig, home: Path, pseudonym: str, find: Find) -> str | None:
    key = os.environ.get("BEDSIDE_API_KEY")
    if not key:
        raise ConfigError("BEDSIDE_API_KEY is not set - set it to a key that may reidentify")
    directory = audit_directory(config.audit, home)
    with AuditLog(directory, config.audit) as audit:
        door = Reidentification(audit, Pseudonyms(directory, config.audit), find)
        subject = door.ask(pseudonym, key)
    if subject is None:
        say("recorded; within 24 hours a second person with that right must run the same command")
    return subject
