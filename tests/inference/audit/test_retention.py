"""Retention: whole segments go, a signed tombstone stays, and the log still verifies."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time

import pytest

from bedside_core.errors import InputError
from bedside_inference.audit.entries import AuditError, head_path, segment_path, segments
from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.audit.retention import Retained, retain
from bedside_inference.audit.verify import verify
from bedside_inference.config import AuditConfig

DAY = 86400
CONFIG = AuditConfig(
    sync_seconds=3600, checkpoint_seconds=3600, retention_days=365, pseudonym_days=30
)


@pytest.fixture
def config() -> AuditConfig:
    return CONFIG


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(time, "time", found)
    return found


def months(audit: AuditLog, house: Pseudonyms, record, clock: Clock, count: int) -> list[str]:
    """Two requests a month; returns the pseudonyms."""
    found = []
    for _ in range(count):
        found.append(house.of("nurse"))
        for _ in range(2):
            audit.finish(record(f"r{clock.now}", started=clock.now, pseudonym=found[-1]))
        audit.sync()
        clock.now += 30 * DAY
        audit.sync()
    return found


@pytest.fixture
def house(directory, config) -> Pseudonyms:
    return Pseudonyms(directory, config)


def test_what_is_older_than_a_year_goes_and_the_rest_verifies(
    audit, house, record, clock, directory, read
) -> None:
    pseudonyms = months(audit, house, record, clock, 14)
    before = {first: segment_path(directory, first).read_bytes() for first in segments(directory)}
    kept = [e["request_id"] for e in read() if e["type"] == "request"][4:]
    done = retain(audit, house, CONFIG, None)
    assert (done.segments, done.records, done.undelivered) == (2, 6, 0)
    assert [e["request_id"] for e in read() if e["type"] == "request"] == kept
    report = verify(directory)
    assert report.deleted == 6
    stones = [e for e in read() if e["type"] == "tombstone"]
    for stone, (first, raw) in zip(stones, before.items(), strict=False):
        assert stone["segment"] == segment_path(directory, first).name
        assert stone["sha256"] == hashlib.sha256(raw).hexdigest()
        assert stone["records"] == len(raw.splitlines())
        assert stone["last_hash"] == json.loads(raw.splitlines()[-1])["hash"]
    assert len(stones) == 2
    # Whose the deleted records were, nobody can find out any more.
    assert done.periods == 2
    for gone in pseudonyms[:2]:
        with pytest.raises(InputError):
            house.reveal(gone)
    assert house.reveal(pseudonyms[2]) == "nurse"


def test_it_goes_on_over_years(audit, house, record, clock, directory) -> None:
    for _ in range(8):
        months(audit, house, record, clock, 6)
        retain(audit, house, CONFIG, None)
        verify(directory)
    assert len(segments(directory)) <= 14
    assert segments(directory)[0] > 100
    assert len(json.loads(house.path.read_text())["periods"]) <= 14


def test_a_log_of_an_idle_house_becomes_empty_but_for_its_tombstones(
    audit, house, record, clock, directory, read
) -> None:
    months(audit, house, record, clock, 2)
    clock.now += 400 * DAY
    assert retain(audit, house, CONFIG, None).segments == 2
    assert {e["type"] for e in read()} == {"tombstone", "checkpoint"}
    verify(directory)


def test_nothing_old_nothing_done(audit, house, record, clock, directory) -> None:
    months(audit, house, record, clock, 3)
    raw = [segment_path(directory, first).read_bytes() for first in segments(directory)]
    assert retain(audit, house, CONFIG, None) == Retained()
    after = [segment_path(directory, first).read_bytes() for first in segments(directory)]
    assert after[: len(raw)] == raw


def test_a_kill_between_tombstone_and_deletion_is_mended_by_the_next_run(
    audit, house, record, clock, directory, read, monkeypatch
) -> None:
    months(audit, house, record, clock, 14)

    class Killed(BaseException):
        pass

    def killed(self: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", killed)
        with pytest.raises(Killed):
            retain(audit, house, CONFIG, None)
    assert verify(directory).deleted == 0
    assert retain(audit, house, CONFIG, None).segments == 2
    assert verify(directory).deleted == 6
    assert [e["type"] for e in read()].count("tombstone") == 2


def test_what_the_siem_does_not_have_stays(audit, house, record, clock, directory) -> None:
    months(audit, house, record, clock, 14)
    done = retain(audit, house, CONFIG, 3)
    assert (done.segments, done.undelivered) == (1, 1)
    verify(directory)


def test_a_log_that_was_tampered_with_is_not_shortened(
    audit, house, record, clock, directory
) -> None:
    months(audit, house, record, clock, 14)
    first = segment_path(directory, segments(directory)[0])
    first.write_bytes(first.read_bytes().replace(b"192.0.2.7", b"192.0.2.8", 1))
    before = segments(directory)
    with pytest.raises(AuditError, match=r"line 1 \(entry 1\): does not match its hash"):
        retain(audit, house, CONFIG, None)
    assert segments(directory) == before


def test_a_clock_that_jumped_deletes_only_from_the_beginning(
    audit, house, record, clock, directory
) -> None:
    start = clock.now
    for month in (0, -30, 0):
        clock.now = start + month * 30 * DAY
        audit.finish(record(f"r{month}"))
        audit.sync()
        with audit._chain.writing() as write:
            write.rotate()
    clock.now = start + 10 * DAY
    assert retain(audit, house, CONFIG, None).segments == 0
    verify(directory)


def test_a_deletion_without_tombstone_or_with_a_forged_one_is_found(
    audit, house, record, clock, directory
) -> None:
    months(audit, house, record, clock, 14)
    retain(audit, house, CONFIG, None)
    audit.sync()
    segment_path(directory, segments(directory)[0]).unlink()
    with pytest.raises(AuditError, match="no tombstone stands for it"):
        verify(directory)
    firsts = segments(directory)
    last_hash = re.search(
        rb'"prev":"([0-9a-f]{64})"', segment_path(directory, firsts[0]).read_bytes()
    )[1].decode()
    audit.write(
        "tombstone", segment="segment-000000000007.jsonl", first_seq=7, last_seq=firsts[0] - 1,
        last_hash=last_hash, records=3, first_time="", last_time="", sha256="",
        signature="A" * 86 + "==",
    )  # fmt: skip
    with pytest.raises(AuditError, match="not signed with this house's audit key"):
        verify(directory)


def test_the_gateway_goes_on_beside_it(audit, house, record, clock, directory, config) -> None:
    months(audit, house, record, clock, 14)
    with AuditLog(directory, config) as other:
        retain(other, house, CONFIG, None)
    audit.begin(record("after"))
    audit.finish(record("after"))
    assert verify(directory).entries["request"] == 25
    assert os.fstat(audit._chain._head).st_nlink == head_path(directory).stat().st_nlink
