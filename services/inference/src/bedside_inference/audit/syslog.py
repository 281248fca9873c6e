"""The audit's way to a SIEM: RFC 5424 messages over TLS, framed as in RFC 5425.

Syslog has no receipt, so a batch counts as delivered only when the receiver has answered the close
of the TLS session with its own, as RFC 5425 section 4.4 demands: whoever does that has read
everything before it. Only then the cursor moves; what was under way when something failed is sent
again.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.chain import ZEROS
from bedside_core.errors import ConfigError, InputError
from bedside_core.files import locked, sync, write_atomic
from bedside_inference.audit.departments import Departments
from bedside_inference.audit.entries import AuditError, segment_path, write_errors
from bedside_inference.audit.fhir import EXPORTED, audit_event, outcome
from bedside_inference.audit.reader import snapshot
from bedside_inference.config import SyslogConfig

FACILITY = 13
"""Log audit."""
SEVERITIES = {"0": 6, "4": 5, "8": 4, "12": 3}
"""Informational, notice, warning and error, by the AuditEvent's outcome."""
BATCH = 1000
"""Events per TLS session."""
TIMEOUT_SECONDS = 30.0


class Cursor(BaseModel):
    """The last entry that the SIEM has, or that was none for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seq: int = 0
    hash: str = ZEROS


def read_cursor(directory: Path) -> Cursor:
    """How far the deliveries are.

    Raises:
        AuditError: the file cannot be read.
    """
    path = _cursor_path(directory)
    try:
        return Cursor.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Cursor()
    except (OSError, ValidationError):
        raise AuditError(
            f"{path}: no readable cursor - restore it from a backup, or remove it to send "
            "everything again"
        ) from None


def deliver(directory: Path, config: SyslogConfig, site: str, smallest_group: int) -> int:
    """Send what the SIEM does not have yet; returns how many events that were.

    Args:
        directory: of the chain.
        config: the receiver.
        site: name of this machine.
        smallest_group: of how many people a department must be to be named.

    Raises:
        AuditError: the log does not verify.
        ConfigError: a certificate or the authority's file cannot be read.
        InputError: the receiver cannot be reached, is somebody else, or broke off.
    """
    context = _context(config)
    sent = 0
    with _delivering(directory):
        departments = Departments.read(_departments_path(directory), smallest_group)
        say = partial(message, site=site, enterprise=config.enterprise_number)
        for entries, cursor in _batches(directory, read_cursor(directory), departments):
            messages = [say(entry) for entry in entries]
            if messages:
                _send(config, context, messages)
            departments.write(_departments_path(directory))
            write_atomic(
                _cursor_path(directory), cursor.model_dump_json().encode() + b"\n", mode=0o600
            )
            sent += len(messages)
    return sent


def message(entry: dict[str, Any], site: str, enterprise: int) -> bytes:
    """The RFC 5424 message of an entry; its text is the FHIR AuditEvent.

    Args:
        entry: of a type in `EXPORTED`.
        site: name of this machine.
        enterprise: number by which RFC 5424 tells apart whose structured data these are.
    """
    event = audit_event(entry, site)
    priority = FACILITY * 8 + SEVERITIES[outcome(entry)]
    text = json.dumps(event, separators=(",", ":"))
    ids = {"seq": "seq", "hash": "hash", "request": "request_id"}
    data = " ".join(
        f'{name}="{_escaped(str(entry[of]))}"' for name, of in ids.items() if of in entry
    )
    host = "".join(c for c in site if "!" <= c <= "~")[:255] or "-"
    head = f"<{priority}>1 {entry['time']} {host} bedside-gateway - AuditEvent"
    return f"{head} [bedside@{enterprise} {data}] {text}".encode()


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _batches(
    directory: Path, cursor: Cursor, departments: Departments
) -> Iterator[tuple[list[dict[str, Any]], Cursor]]:
    with snapshot(directory) as chain:
        # What the SIEM is told must not be undone by a power failure.
        with write_errors(directory):
            for first in chain.firsts[-2:]:
                with suppress(FileNotFoundError):  # a rotation that was cut short
                    sync(segment_path(directory, first))
        if cursor.seq > chain.head.seq:
            raise _other_log(directory)
        batch: list[dict[str, Any]] = []
        reached = cursor
        for place in chain.places(cursor.seq):
            entry = place.entry
            if entry.seq > chain.head.seq:
                break  # of a writer that was just killed: not yet taken over
            if entry.seq == cursor.seq and entry.hash != cursor.hash:
                raise _other_log(directory)
            if entry.seq <= cursor.seq:
                continue
            reached = Cursor(seq=entry.seq, hash=entry.hash)
            departments.add(entry.members)
            if entry.members["type"] in EXPORTED:
                batch.append(departments.coarse(entry.members))
            if len(batch) == BATCH:
                yield batch, reached
                batch = []
        if reached != cursor:
            yield batch, reached


def _send(config: SyslogConfig, context: ssl.SSLContext, messages: list[bytes]) -> None:
    address = f"{config.host}:{config.port}"
    try:
        with socket.create_connection((config.host, config.port), TIMEOUT_SECONDS) as plain:
            session = _Session(plain, context, config.host)
            for text in messages:
                session.send(b"%d %s" % (len(text), text))
            session.end()
    except ssl.SSLCertVerificationError as error:
        raise InputError(
            f"syslog receiver {address}: its certificate is not to be trusted "
            f"({error.verify_message}) - set inference.audit.syslog.ca_file and host to what it "
            "has; nothing was sent"
        ) from None
    except OSError as error:
        raise InputError(
            f"syslog receiver {address}: {error.strerror or type(error).__name__} - what it may "
            "not have got is sent by the next `bedside inference audit export syslog`"
        ) from None


class _Session:
    """TLS over a socket, by hand: `SSLSocket.unwrap` takes a fatal alert for a farewell.

    That is how a receiver says that it refuses our certificate, in TLS 1.3 after the handshake.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self.plain = plain
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)
        self._wait(self.tls.do_handshake)

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self._flush()

    def end(self) -> None:
        """Say farewell and wait for the answer.

        Raises:
            OSError: it ended in another way.
        """
        # What is here already is read first, so that nothing but our own farewell happens next.
        with suppress(ssl.SSLWantReadError):
            self._read()
            raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        with suppress(ssl.SSLZeroReturnError):
            self._wait(self._read)
        # Whoever closes with something unread resets the connection.
        self.plain.shutdown(socket.SHUT_WR)
        while self.plain.recv(1 << 16):
            pass

    def _read(self) -> None:
        # Of what a receiver might say, nothing is for us.
        while self.tls.read(1 << 16):
            pass

    def _wait(self, step: Callable[[], object]) -> None:
        while True:
            try:
                step()
            except ssl.SSLWantReadError:
                self._flush()
                if part := self.plain.recv(1 << 16):
                    self.incoming.write(part)
                else:
                    self.incoming.write_eof()
            else:
                self._flush()
                return

    def _flush(self) -> None:
        self.plain.sendall(self.outgoing.read())


def _context(config: SyslogConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if config.certificate is not None:
            context.load_cert_chain(config.certificate, config.key)
    except OSError as error:
        raise ConfigError(
            f"inference.audit.syslog: no readable certificates ({error.strerror}) - ca_file, "
            "certificate and key must be PEM files"
        ) from None
    return context


@contextmanager
def _delivering(directory: Path) -> Iterator[None]:
    """One delivery at a time, so that nothing is sent twice."""
    with ExitStack() as stack:
        with write_errors(directory):
            stack.enter_context(locked(directory / "delivered.lock"))
        yield


def _departments_path(directory: Path) -> Path:
    return directory / "departments.json"


def _cursor_path(directory: Path) -> Path:
    return directory / "delivered.json"


def _other_log(directory: Path) -> AuditError:
    return AuditError(
        f"{_cursor_path(directory)}: the last entry that was delivered is not in this log - the "
        "log was replaced; look into it, then remove the file to send everything"
    )
