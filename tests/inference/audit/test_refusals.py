"""Refusals before anybody is known: whole up to a number, then counted, never more than a day's."""

from __future__ import annotations

import fcntl
import json
import os
from importlib import resources

import jsonschema
import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.chain import ZEROS, close_line, content, open_line
from bedside_inference.audit import refusals
from bedside_inference.audit.entries import AuditError, head_path
from bedside_inference.audit.fhir import EXPORTED, audit_event
from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.record import RequestRecord, request_content
from bedside_inference.audit.refusals import Refusals, network_of
from bedside_inference.audit.verify import verify
from bedside_inference.config import AuditConfig
from bedside_inference.gateway.api.routes import PUBLIC, ROUTES
from bedside_inference.gateway.errors import TABLE

SCHEMA = json.loads(resources.files("bedside_inference.audit").joinpath("schema.json").read_text())
DAY_BYTES = 100_000_000
MINUTES = 24 * 60
LATE = 10**12
"""The number of an entry that no log ever has."""


class Clock:
    def __init__(self) -> None:
        self.now = 1e6

    def __call__(self) -> float:
        return self.now


def refuse(audit: AuditLog, record: RequestRecord, address: str = "192.0.2.7") -> bool:
    """As the gateway does."""
    if whole := audit.takes(record, address):
        audit.finish(record)
    return whole


def ask(tested: Refusals, address: str, count: int = 1) -> int:
    """How many of so many are recorded whole."""
    return sum(tested.whole(address, "unknown", "unknown_route") for _ in range(count))


def test_an_address_has_twenty_a_minute() -> None:
    clock = Clock()
    tested = Refusals(1, clock)
    for _ in range(3):
        assert ask(tested, "192.0.2.1", 50) == 20
        assert ask(tested, "192.0.2.2") == 1
        clock.now += 60


def test_all_together_have_sixty() -> None:
    tested = Refusals(1, Clock())
    assert sum(ask(tested, f"2001:db8:0:{n:x}::1") for n in range(20_000)) == 60
    found = tested.due(closing=True)
    assert found is not None
    assert (found["requests"], found["networks"]) == (19_940, 10_000)


@pytest.mark.parametrize("workers", [1, 2, 4, 7, 60])
def test_workers_share_the_numbers(workers) -> None:
    clock = Clock()
    several = [Refusals(workers, clock) for _ in range(workers)]
    assert sum(ask(each, "192.0.2.1", 100) for each in several) <= max(20, workers)
    assert sum(ask(each, f"192.0.2.{n}") for each in several for n in range(2, 200)) <= 60
    clock.now += 60 * workers - 1
    assert [each.due(closing=False) for each in several] == [None] * workers
    clock.now += 1
    assert all(each.due(closing=False) for each in several)  # one a minute, for all of them


def test_the_sender_is_an_address_or_a_network() -> None:
    same = {network_of(f"2001:db8::{n:x}") for n in (0, 1, 0xFFFF)}
    assert len(same | {network_of("2001:db8::1%eth0")}) == 1
    assert network_of("2001:db8:0:1::1") not in same
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") != network_of("192.0.2.2")
    assert network_of("unknown") == network_of("") == b""


@given(st.text(max_size=60))
def test_no_address_breaks_it(text) -> None:
    assert len(network_of(text)) in (0, 4, 8)


def length(middle: bytes) -> int:
    return len(close_line(open_line(LATE, 1e9, middle, ZEROS))[0])


def test_a_flood_adds_at_most_a_hundred_megabytes_a_day() -> None:
    """The longest records of strangers there can be, and counts of every refusal of every route."""
    routes, codes = ROUTES - PUBLIC | {"unknown"}, {refusal.code for refusal in TABLE}
    longest = max(codes, key=len)
    record = request_content(
        RequestRecord(
            request_id="0" * 32, trace_id="0" * 32, started=1e9, ended=1e9, duration_ms=123456.789,
            queued_ms=123456.789, first_byte_ms=123456.789,
            client_address="2001:0db8:0000:0000:0000:0000:0000:0001",
            client_app="AsyncOpenAI/Python",
            method="other", route=max(routes, key=len), status=503, disconnect_phase="sending",
            outcome=longest,
        )
    )  # fmt: skip
    counting = Refusals(1, Clock())
    counting.scarce = True
    for route in routes:
        for code in codes:
            counting.whole("2001:db8::1", route, code)
    members = counting.due(closing=True)
    assert members is not None
    assert sum(members["counts"].values()) == members["requests"] == len(routes) * len(codes)
    members["counts"] = dict.fromkeys(members["counts"], 10**7)
    signed = {"of_seq": LATE, "of_hash": ZEROS, "signature": "A" * 88}
    minute = refusals.WHOLE * length(record) + length(content("refused", members))
    minute += length(content("checkpoint", signed))
    assert minute * MINUTES <= DAY_BYTES


def test_what_is_above_is_one_entry(directory, config, record, read) -> None:
    with AuditLog(directory, config) as audit:
        kept = [
            refuse(audit, record(f"r{n}", route="unknown", outcome="unknown_route"))
            for n in range(100)
        ]
        refuse(audit, record("a", route="/v1/models", outcome="invalid_api_key"))
        assert kept.count(True) == 20
        audit.sync()
    [entry] = [entry for entry in read() if entry["type"] == "refused"]
    assert entry["counts"] == {"/v1/models invalid_api_key": 1, "unknown unknown_route": 80}
    assert (entry["requests"], entry["networks"], entry["scarce"]) == (81, 1, False)
    assert entry["since"] <= entry["until"] <= entry["time"]
    jsonschema.validate(entry, SCHEMA)
    assert verify(directory).entries == {"request": 20, "refused": 1, "checkpoint": 1}
    assert entry["type"] in EXPORTED
    event = audit_event(entry, "gateway.example")
    AuditEvent.model_validate(event)
    assert (event["outcome"], event["outcomeDesc"]) == ("4", "requests_refused")
    details = {each["type"]: each["valueString"] for each in event["entity"][0]["detail"]}
    assert details["unknown unknown_route"] == "80"
    assert details["requests"] == "81"


def test_what_cannot_be_written_is_counted_on(directory, config, record, read, monkeypatch) -> None:
    with AuditLog(directory, config) as audit:
        for n in range(30):
            refuse(audit, record(f"r{n}"))
        with monkeypatch.context() as full:
            full.setattr(os, "write", lambda handle, data: 0)
            with pytest.raises(AuditError):
                audit.sync()
        refuse(audit, record("more"))
    [entry] = [entry for entry in read() if entry["type"] == "refused"]
    assert entry["requests"] == 11


def test_below_the_reserve_strangers_are_only_counted(directory, record, read) -> None:
    config = AuditConfig(sync_seconds=3600, reserve_bytes=1 << 60)
    with AuditLog(directory, config) as audit:
        assert not refuse(audit, record("a"))
        audit.finish(record("b"))
    assert [e["request_id"] for e in read() if e["type"] == "request"] == ["b"]
    [entry] = [entry for entry in read() if entry["type"] == "refused"]
    assert (entry["requests"], entry["scarce"]) == (1, True)


def test_a_full_segment_reaches_the_disk_before_the_lock(directory, record, monkeypatch) -> None:
    """Or every worker's event loop would wait for the disk."""
    quiet, full = (AuditConfig(sync_seconds=3600, segment_bytes=n) for n in (1 << 20, 4096))
    free: list[bool] = []
    real = os.fdatasync

    def look(handle: int) -> None:
        other = os.open(head_path(directory), os.O_RDWR)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free.append(True)
        except BlockingIOError:
            free.append(False)
        finally:
            os.close(other)
        real(handle)

    with AuditLog(directory, quiet) as audit:
        for n in range(20):
            audit.finish(record(f"r{n}"))
        audit.config = full  # only now, or its thread would see to it
        monkeypatch.setattr(os, "fdatasync", look)
        audit.sync()
        monkeypatch.undo()
    assert free[0]
    assert free.index(False) >= 1  # the rotation itself, with what came in between
