"""Syslog: against a real TLS listener; nothing is lost, nothing is sent twice, nothing in clear."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from bedside_core.errors import ConfigError, InputError
from bedside_inference.audit import syslog as module
from bedside_inference.audit.chain import Chain
from bedside_inference.audit.entries import AuditError, head_path, segment_path, segments
from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.record import request_content
from bedside_inference.audit.syslog import deliver, read_cursor
from bedside_inference.config import SyslogConfig

MESSAGE = re.compile(
    rb"<(\d{3})>1 (\S+Z) (\S+) (\S+) - AuditEvent "
    rb'\[bedside@32473 seq="(\d+)" hash="([0-9a-f]{64})"(?: request="([^"]+)")?\] ({.*})'
)


class Authority:
    """A certificate authority and what it signs."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.path = directory / "ca.pem"
        made = self._builder(self.name, self.key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        made = made.add_extension(usage, critical=True)
        certificate = made.sign(self.key, hashes.SHA256())
        self.path.write_bytes(certificate.public_bytes(Encoding.PEM))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        public = key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )

    def issue(self, name: str) -> Path:
        """A certificate for 127.0.0.1, with its key in the same file."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        made = (
            self._builder(subject, key)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        path = self.directory / f"{name}.pem"
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(made.public_bytes(Encoding.PEM) + secret)
        return path


@dataclass
class Siem:
    """A receiver that takes TLS sessions and keeps what they carried."""

    authority: Authority
    port: int = 0
    received: list[bytes] = field(default_factory=list)
    broken: int = 0
    """How many sessions to break off before the end."""
    polite: bool = True
    """Whether it answers a farewell."""
    failures: list[OSError] = field(default_factory=list)

    def serve(self, listening: socket.socket, context: ssl.SSLContext) -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            plain.settimeout(30)
            try:
                with context.wrap_socket(plain, server_side=True) as tls:
                    self.take(tls)
            except OSError as error:
                self.failures.append(error)
            finally:
                plain.close()

    def take(self, tls: ssl.SSLSocket) -> None:
        stream = b""
        while part := tls.recv(1 << 16):
            stream += part
            if self.broken:
                self.broken -= 1
                # A reset: what was under way is lost.
                tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
        while stream:
            size, _, stream = stream.partition(b" ")
            self.received.append(stream[: int(size)])
            stream = stream[int(size) :]
        if self.polite:
            tls.unwrap()

    @property
    def requests(self) -> list[str]:
        found = [MESSAGE.fullmatch(text) for text in self.received]
        return [match[7].decode() for match in found if match[7]]


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority(tmp_path / "authority")


def listen(siem: Siem, *, client: bool = False) -> Iterator[Siem]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(siem.authority.issue("siem"))
    if client:
        context.load_verify_locations(siem.authority.path)
        context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listening:
        siem.port = listening.getsockname()[1]
        thread = threading.Thread(target=siem.serve, args=(listening, context))
        thread.start()
        yield siem
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(60)


@pytest.fixture
def siem(authority) -> Iterator[Siem]:
    yield from listen(Siem(authority))


@pytest.fixture
def strict_siem(authority) -> Iterator[Siem]:
    """It wants to know who sends."""
    yield from listen(Siem(authority), client=True)


def to(siem: Siem, **changes: object) -> SyslogConfig:
    values = {"host": "127.0.0.1", "port": siem.port, "ca_file": siem.authority.path}
    return SyslogConfig.model_validate({**values, **changes})


def requests(directory, config, record, names: str) -> None:
    with AuditLog(directory, config) as audit:
        for name in names.split():
            audit.begin(record(name))
            audit.finish(record(name, status=200, ended=1_700_000_000.0))


def test_every_request_is_sent_once(directory, config, record, siem, read) -> None:
    requests(directory, config, record, "r1 r2 r3")
    assert deliver(directory, to(siem), "gateway.example", 1) == 3
    assert deliver(directory, to(siem), "gateway.example", 1) == 0
    requests(directory, config, record, "r4")
    assert deliver(directory, to(siem), "gateway.example", 1) == 1
    assert siem.requests == ["r1", "r2", "r3", "r4"]
    assert read_cursor(directory).seq == read()[-1]["seq"]
    assert siem.failures == []


def test_a_message_is_rfc_5424_and_carries_the_auditevent(
    directory, config, record, siem, read
) -> None:
    requests(directory, config, record, "r1")
    deliver(directory, to(siem), "gateway.example", 1)
    (text,) = siem.received
    match = MESSAGE.fullmatch(text)
    entry = next(e for e in read() if e["type"] == "request")
    assert divmod(int(match[1]), 8) == (13, 6)
    assert match[2].decode() == entry["time"]
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", match[2])
    assert (match[3], match[4]) == (b"gateway.example", b"bedside-gateway")
    assert (int(match[5]), match[6].decode()) == (entry["seq"], entry["hash"])
    event = json.loads(match[8])
    assert (event["resourceType"], event["id"]) == ("AuditEvent", entry["hash"])


def test_a_house_marks_its_data_by_its_own_number(directory, config, record, siem) -> None:
    requests(directory, config, record, "r1")
    deliver(directory, to(siem, enterprise_number=4711), "gateway.example", 1)
    assert b" [bedside@4711 seq=" in siem.received[0]


def test_small_departments_are_not_named_over_several_deliveries(
    directory, config, record, siem
) -> None:
    for person in range(4):
        with AuditLog(directory, config) as audit:
            name = {"department": "Palliativ", "pseudonym": f"7.{person}", "status": 200}
            audit.finish(record(f"r{person}", **name))
        deliver(directory, to(siem), "gateway.example", 3)
    assert [b"Palliativ" in text for text in siem.received] == [False, False, True, True]


def test_failures_are_more_severe(directory, config, record, siem) -> None:
    with AuditLog(directory, config) as audit:
        audit.finish(record("r1", status=401, outcome="invalid_api_key"))
        audit.finish(record("r2", status=502, outcome="engine_error"))
    deliver(directory, to(siem), "gateway.example", 1)
    assert [text[:5] for text in siem.received] == [b"<109>", b"<108>"]


def test_what_the_house_does_is_sent_too(directory, config, record, siem) -> None:
    requests(directory, config, record, "r1")
    with AuditLog(directory, config) as audit:
        audit.admin("model_stopped", model="ab" * 32)
    assert deliver(directory, to(siem), "gateway.example", 1) == 2
    match = MESSAGE.fullmatch(siem.received[1])
    assert (match[1], match[7]) == (b"110", None)
    assert json.loads(match[8])["outcomeDesc"] == "model_stopped"


def test_structured_data_and_names_are_escaped(read, directory, config, record) -> None:
    requests(directory, config, record, 'a"b]c\\d')
    entry = next(e for e in read() if e["type"] == "request")
    text = module.message(entry, "with space\u00e4\n", 32473)
    assert b'request="a\\"b\\]c\\\\d"]' in text
    assert text.split(b" ")[2] == b"withspace"
    assert module.message(entry, "\u00e4", 32473).split(b" ")[2] == b"-"


def test_another_authority_is_refused(directory, config, record, siem, tmp_path) -> None:
    requests(directory, config, record, "r1")
    other = Authority(tmp_path / "other")
    with pytest.raises(InputError, match="its certificate is not to be trusted"):
        deliver(directory, to(siem, ca_file=other.path), "gateway.example", 1)
    assert siem.received == []
    assert read_cursor(directory).seq == 0


def test_another_name_is_refused(directory, config, record, siem) -> None:
    requests(directory, config, record, "r1")
    with pytest.raises(InputError, match="its certificate is not to be trusted"):
        deliver(directory, to(siem, host="localhost"), "gateway.example", 1)
    assert siem.received == []


def test_it_never_speaks_in_clear(directory, config, record) -> None:
    requests(directory, config, record, "r1")
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                heard.append(connection.recv(1 << 16))

        thread = threading.Thread(target=answer)
        thread.start()
        authority = Authority(directory.parent / "authority")
        siem = Siem(authority, listening.getsockname()[1])
        with pytest.raises(InputError):
            deliver(directory, to(siem), "gateway.example", 1)
        thread.join(60)
    assert heard[0][0] == 22  # a TLS handshake record
    assert b"r1" not in heard[0]
    assert b"AuditEvent" not in heard[0]


def test_a_receiver_that_breaks_off_gets_the_batch_again(
    directory, config, record, siem, monkeypatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    requests(directory, config, record, "r1 r2 r3 r4 r5")
    siem.broken = 1
    with pytest.raises(InputError, match="is sent by the next"):
        deliver(directory, to(siem), "gateway.example", 1)
    assert deliver(directory, to(siem), "gateway.example", 1) == 5
    assert siem.requests == ["r1", "r2", "r3", "r4", "r5"]


def test_a_delivery_goes_on_after_the_last_batch_that_arrived(
    directory, config, record, siem, monkeypatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    requests(directory, config, record, "r1 r2 r3 r4 r5")
    send, calls = module._send, []

    def once(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise InputError("gone")
        send(*arguments)

    monkeypatch.setattr(module, "_send", once)
    with pytest.raises(InputError, match="gone"):
        deliver(directory, to(siem), "gateway.example", 1)
    assert deliver(directory, to(siem), "gateway.example", 1) == 3
    assert siem.requests == ["r1", "r2", "r3", "r4", "r5"]


def test_a_receiver_that_ends_without_a_farewell_gets_it_again(
    directory, config, record, siem
) -> None:
    siem.polite = False
    requests(directory, config, record, "r1")
    with pytest.raises(InputError, match="is sent by the next"):
        deliver(directory, to(siem), "gateway.example", 1)
    siem.polite = True
    assert deliver(directory, to(siem), "gateway.example", 1) == 1
    assert siem.requests == ["r1", "r1"]


def test_nobody_listens(directory, config, record, authority) -> None:
    requests(directory, config, record, "r1")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(InputError, match="Connection refused"):
        deliver(directory, to(Siem(authority, port)), "gateway.example", 1)


def test_a_client_certificate_is_shown_where_it_is_wanted(
    directory, config, record, strict_siem
) -> None:
    requests(directory, config, record, "r1")
    with pytest.raises(InputError):
        deliver(directory, to(strict_siem), "gateway.example", 1)
    assert read_cursor(directory).seq == 0
    certificate = strict_siem.authority.issue("gateway")
    assert deliver(directory, to(strict_siem, certificate=certificate), "gateway.example", 1) == 1
    assert strict_siem.requests == ["r1"]


@pytest.mark.parametrize("name", ["ca_file", "certificate"])
def test_unreadable_certificates(directory, config, record, siem, tmp_path, name) -> None:
    requests(directory, config, record, "r1")
    (tmp_path / "garbage.pem").write_text("garbage")
    for path in (tmp_path / "missing.pem", tmp_path / "garbage.pem"):
        with pytest.raises(ConfigError, match="must be PEM files"):
            deliver(directory, to(siem, **{name: path}), "gateway.example", 1)


def test_a_log_that_was_replaced_is_not_sent_into_the_old_one(
    directory, config, record, siem, tmp_path
) -> None:
    requests(directory, config, record, "r1 r2")
    deliver(directory, to(siem), "gateway.example", 1)
    cursor = (directory / "delivered.json").read_bytes()
    other = tmp_path / "other" / "audit"
    requests(other, config, record, "x1 x2 x3")
    (other / "delivered.json").write_bytes(cursor)
    with pytest.raises(AuditError, match="the log was replaced"):
        deliver(other, to(siem), "gateway.example", 1)
    requests(tmp_path / "short" / "audit", config, record, "x1")
    (tmp_path / "short" / "audit" / "delivered.json").write_bytes(cursor)
    with pytest.raises(AuditError, match="the log was replaced"):
        deliver(tmp_path / "short" / "audit", to(siem), "gateway.example", 1)


def test_a_tampered_log_is_not_sent(directory, config, record, siem) -> None:
    requests(directory, config, record, "r1 r2")
    path = segment_path(directory, segments(directory)[0])
    path.write_bytes(path.read_bytes().replace(b"192.0.2.7", b"192.0.2.8", 1))
    with pytest.raises(AuditError, match=r"line 1 \(entry 1\)"):
        deliver(directory, to(siem), "gateway.example", 1)
    assert siem.received == []


def test_what_a_killed_writer_left_is_sent_once_it_is_taken_over(
    directory, config, record, siem
) -> None:
    requests(directory, config, record, "r1")
    head = head_path(directory).read_bytes()
    chain = Chain(directory)
    chain.open()
    chain.append(request_content(record("r2")))
    chain.close()
    head_path(directory).write_bytes(head)
    assert deliver(directory, to(siem), "gateway.example", 1) == 1
    assert deliver(directory, to(siem), "gateway.example", 1) == 0
    requests(directory, config, record, "r3")
    assert deliver(directory, to(siem), "gateway.example", 1) == 3  # and that it was taken over
    assert siem.requests == ["r1", "r2", "r3"]
    assert b'"outcomeDesc":"audit_recovered_writer_killed"' in siem.received[2]


def test_what_is_sent_is_on_the_disk_before(directory, config, record, siem, monkeypatch) -> None:
    synced, sent = set(), []

    def sync(handle: int) -> None:
        synced.add(os.fstat(handle).st_ino)

    with AuditLog(directory, config) as audit:
        audit.finish(record("r1"))
        with audit._chain.writing() as write:
            write.rotate()
        audit.finish(record("r2"))
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, sync)
        monkeypatch.setattr(module, "_send", lambda *arguments: sent.append(set(synced)))
        assert deliver(directory, to(siem), "gateway.example", 1) == 2
        monkeypatch.undo()
    files = {segment_path(directory, first).stat().st_ino for first in segments(directory)}
    assert len(files) == 2
    assert files <= sent[0]


def test_two_deliveries_at_once_send_nothing_twice(directory, config, record, siem) -> None:
    requests(directory, config, record, "r1 r2 r3")
    threads = [
        threading.Thread(target=deliver, args=(directory, to(siem), "gateway.example", 1))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert siem.requests == ["r1", "r2", "r3"]


def test_there_is_no_setting_for_plain_tcp() -> None:
    with pytest.raises(ValidationError):
        SyslogConfig.model_validate({"host": "siem"})
    tls = {"ca_file", "certificate", "key"}
    assert set(SyslogConfig.model_fields) == {"host", "port", *tls, "enterprise_number"}
