"""The gateway's door to the audit: fails closed, loses nothing, signs and rotates."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import datetime
from importlib import resources

import jsonschema
import pytest

from bedside_core.chain import rfc3339
from bedside_core.errors import ArtifactError
from bedside_core.signing import read_public_key
from bedside_inference.audit import journal as journal_module
from bedside_inference.audit.checkpoint import (
    Checkpoint,
    audit_keys,
    checkpoint_path,
    read_checkpoint,
    write_checkpoint,
)
from bedside_inference.audit.entries import AuditError, segment_path, segments
from bedside_inference.audit.journal import AuditLog, audit_directory
from bedside_inference.audit.record import EARLY, MEMBERS, RequestRecord, request_content
from bedside_inference.audit.verify import verify
from bedside_inference.audit.workers import Worker, dead_workers
from bedside_inference.config import AuditConfig

SCHEMA = json.loads(resources.files("bedside_inference.audit").joinpath("schema.json").read_text())


def full_disk(monkeypatch) -> None:
    def fail(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", fail)


def without_chain(entry: dict[str, object]) -> dict[str, object]:
    return {k: v for k, v in entry.items() if k not in ("seq", "time", "type", "prev", "hash")}


def test_a_record_is_written_with_every_member(audit, record, read) -> None:
    audit.finish(
        record(
            "r1", trace_id="ab" * 16, started=1_700_000_000.25, ended=1_700_000_001.5,
            duration_ms=1250.00049, queued_ms=1.5, first_byte_ms=300, pseudonym="1.abc",
            auth_method="api_key", department="icu", purpose_of_use="TREAT",
            model="bedside", model_digest="cd" * 32, evidence="ef" * 32, verdict="PROVEN",
            parameters="01" * 32, prompt_tokens=10, completion_tokens=20, status=200,
            finish_reason="stop", disconnect_phase="streaming", decisions=("quota",),
        )
    )  # fmt: skip
    assert without_chain(read()[0]) == {
        "request_id": "r1", "trace_id": "ab" * 16, "started": "2023-11-14T22:13:20.250000Z",
        "ended": "2023-11-14T22:13:21.500000Z", "duration_ms": 1250.0, "queued_ms": 1.5,
        "first_byte_ms": 300, "pseudonym": "1.abc", "auth_method": "api_key",
        "department": "icu", "purpose_of_use": "TREAT", "client_address": "192.0.2.7",
        "client_app": "openai-python", "method": "POST", "route": "/v1/chat/completions",
        "model": "bedside", "model_digest": "cd" * 32, "evidence": "ef" * 32,
        "verdict": "PROVEN", "adapter": None, "parameters": "01" * 32, "prompt_tokens": 10,
        "completion_tokens": 20, "status": 200, "finish_reason": "stop",
        "disconnect_phase": "streaming", "outcome": "answered", "decisions": ["quota"],
    }  # fmt: skip


def test_times_are_rfc_3339_with_microseconds() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert rfc3339(1_700_000_000.9999996) == "2023-11-14T22:13:21.000000Z"
    for moment in (1_700_000_000.123456, 1_700_000_000.9, 1_699_999_999.5):
        assert datetime.fromisoformat(rfc3339(moment)).timestamp() == pytest.approx(
            moment, abs=1e-6
        )


def test_text_of_any_kind_stays_one_line(audit, record, read, directory) -> None:
    nasty = 'a"b\\c\nd\u2028e\udc80\x00"hash":"'
    audit.finish(record("r1", department=nasty))
    audit.finish(record("r2"))
    audit.sync()
    assert read()[0]["department"] == nasty
    assert verify(directory).entries["request"] == 2


def test_schema_knows_exactly_the_members_of_a_record() -> None:
    chain = {"seq", "time", "type", "prev", "hash"}
    old = {"subject", "key_id"}  # of 0.1 and 0.2
    said = [name for name in SCHEMA["$defs"]["request"]["properties"] if name not in old]
    assert said[3:-2] == list(MEMBERS)
    assert set(SCHEMA["$defs"]["begin"]["properties"]) - chain - old - {"worker"} == set(EARLY)
    assert tuple(field.name for field in fields(RequestRecord)) == MEMBERS
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_entry_fits_the_schema(directory, config, record, read) -> None:
    with AuditLog(directory, config) as audit:
        audit.begin(record("r1"))
        audit.finish(record("r1", ended=time.time(), duration_ms=1.0, status=200))
        audit.begin(record("r2"))
        audit.admin("key_created", key="k1", count=1, none=None)
        audit.finish(record("r3", status=401, outcome="invalid_api_key"))
    with AuditLog(directory, config):
        pass
    validator = jsonschema.Draft202012Validator(SCHEMA)
    entries = read()
    for entry in entries:
        assert list(validator.iter_errors(entry)) == []
    assert {e["type"] for e in entries} == {"begin", "request", "admin", "checkpoint"}
    assert list(validator.iter_errors({**entries[0], "prompt": "text"})) != []


def test_what_a_dead_worker_left_is_completed_from_its_begin(
    directory, config, record, read
) -> None:
    with AuditLog(directory, config) as audit:
        seen = {"pseudonym": "1.abc", "client_address": "1.def"}
        audit.begin(record("r1", **seen, model="bedside", decisions=("quota",)))
    with AuditLog(directory, config):
        pass
    with AuditLog(directory, config):
        pass
    begin = next(e for e in read() if e["type"] == "begin")
    (died,) = [without_chain(e) for e in read() if e["type"] == "request"]
    assert died["outcome"] == "gateway_died"
    assert {name: died[name] for name in EARLY} == {name: begin[name] for name in EARLY}
    assert all(died[name] is None for name in set(MEMBERS) - set(EARLY) - {"outcome"})


def test_a_live_neighbours_requests_are_left_alone(directory, config, record, read) -> None:
    with AuditLog(directory, config) as one:
        one.begin(record("r1"))
        with AuditLog(directory, config):
            pass
        one.finish(record("r1"))
    assert [e["outcome"] for e in read() if e["type"] == "request"] == ["answered"]


def test_a_worker_whose_file_was_taken_for_a_dead_ones_takes_another(tmp_path, monkeypatch) -> None:
    taken = []

    def slow(handle: int, operation: int) -> None:
        if not taken:
            taken.extend(path.name for path in (tmp_path / "workers").iterdir())
            (tmp_path / "workers" / taken[0]).unlink()
        flock(handle, operation)

    flock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", slow)
    worker = Worker(tmp_path / "workers")
    assert worker.id != taken[0]
    assert [path.name for path in (tmp_path / "workers").iterdir()] == [worker.id]
    assert list(dead_workers(tmp_path / "workers")) == []
    worker.note(7)
    worker.leave(finished=False)
    assert list(dead_workers(tmp_path / "workers")) == [(worker.id, 7)]
    assert list((tmp_path / "workers").iterdir()) == []


def test_looking_for_open_requests_begins_where_a_worker_was(
    directory, config, record, monkeypatch
) -> None:
    with AuditLog(directory, config) as audit:
        for number in range(50):
            audit.begin(record(f"r{number}"))
            audit.finish(record(f"r{number}"))
        audit.begin(record("open"))
        audit.sync()
        (worker,) = (directory / "workers").iterdir()
        assert int(worker.read_text()) == 101
        audit.finish(record("open"))
        audit.sync()
        assert int(worker.read_text()) > 101


def test_begin_raises_and_finish_is_kept_while_the_disk_is_full(
    audit, record, read, monkeypatch
) -> None:
    audit.begin(record("r1"))
    audit.begin(record("r2"))
    full_disk(monkeypatch)
    with pytest.raises(AuditError, match="No space left"):
        audit.finish(record("r1", status=200))
    assert not audit.writable
    with pytest.raises(AuditError):
        audit.begin(record("r3"))
    with pytest.raises(AuditError):
        audit.finish(record("r3", status=503, outcome="audit_unavailable"))
    with pytest.raises(AuditError):
        audit.finish(record("r2", status=200))
    with pytest.raises(AuditError):
        audit.admin("key_created")
    assert [e["type"] for e in read()] == ["begin", "begin"]
    monkeypatch.undo()
    audit.begin(record("r4"))
    assert audit.writable
    told = [(e["type"], e.get("request_id")) for e in read()]
    assert told[2:] == [
        ("recovered", None), ("request", "r1"), ("request", "r2"), ("begin", "r4"),
    ]  # fmt: skip
    gap = read()[2]
    assert (gap["reason"], gap["unrecorded"]) == ("unwritable", 1)


def test_the_audit_becomes_writable_again_by_itself(directory, record, monkeypatch) -> None:
    config = AuditConfig(sync_seconds=0.02)
    with AuditLog(directory, config) as audit:
        full_disk(monkeypatch)
        with pytest.raises(AuditError):
            audit.begin(record("r1"))
        time.sleep(0.1)
        assert not audit.writable
        monkeypatch.undo()
        deadline = time.monotonic() + 30
        while not audit.writable and time.monotonic() < deadline:
            time.sleep(0.01)
        assert audit.writable


def test_a_disk_that_does_not_keep_what_it_was_given_stops_the_gateway(
    directory, record, monkeypatch, caplog
) -> None:
    def fail(handle: int) -> None:
        raise OSError(5, "Input/output error")

    with AuditLog(directory, AuditConfig(sync_seconds=0.02)) as audit:
        monkeypatch.setattr(os, "fdatasync", fail)
        audit.begin(record("r1"))
        deadline = time.monotonic() + 30
        while audit.writable and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not audit.writable
        assert any(message.startswith("audit not kept") for message in caplog.messages)
        monkeypatch.undo()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), RuntimeError("a bug")])
def test_nothing_begins_until_the_disk_keeps_it_again(
    directory, record, monkeypatch, error
) -> None:
    def fail(handle: int) -> None:
        raise error

    with AuditLog(directory, AuditConfig(sync_seconds=0.02)) as audit:
        monkeypatch.setattr(os, "fdatasync", fail)
        deadline = time.monotonic() + 30
        while audit.writable and time.monotonic() < deadline:
            time.sleep(0.01)
        # A line that can be written proves nothing.
        audit.finish(record("r1"))
        assert not audit.writable
        with pytest.raises(AuditError, match="does not reach the disk"):
            audit.begin(record("r2"))
        monkeypatch.undo()
        deadline = time.monotonic() + 30
        while not audit.writable and time.monotonic() < deadline:
            time.sleep(0.01)
        audit.begin(record("r3"))
        audit.finish(record("r3"))
        assert audit.writable


def test_a_checkpoint_that_cannot_be_kept_is_told(audit, monkeypatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(24, "Too many open files")

    audit.admin("test")
    monkeypatch.setattr(tempfile, "mkstemp", fail)
    with pytest.raises(AuditError, match="Too many open files"):
        audit.sync()
    monkeypatch.undo()


def test_finished_records_that_cannot_be_written_at_the_end_are_completed_later(
    directory, config, record, read, monkeypatch
) -> None:
    audit = AuditLog(directory, config)
    audit.start()
    audit.begin(record("r1"))
    full_disk(monkeypatch)
    with pytest.raises(AuditError):
        audit.finish(record("r1"))
    with pytest.raises(AuditError):
        audit.close()
    monkeypatch.undo()
    with AuditLog(directory, config):
        pass
    assert [e["outcome"] for e in read() if e["type"] == "request"] == ["gateway_died"]


def test_threads_share_a_log(directory, config, record) -> None:
    with AuditLog(directory, config) as audit, ThreadPoolExecutor(8) as pool:

        def serve(number: int) -> None:
            audit.begin(record(f"r{number}"))
            audit.finish(record(f"r{number}"))

        list(pool.map(serve, range(200)))
    assert verify(directory).entries == {"begin": 200, "request": 200, "checkpoint": 1}


def test_a_clock_that_goes_backwards_changes_no_order(
    audit, record, read, directory, monkeypatch
) -> None:
    now = time.time()
    for shift in (0, -86400 * 400, 86400 * 400, -5):
        monkeypatch.setattr(time, "time", lambda shift=shift: now + shift)
        audit.begin(record(f"r{shift}", started=now + shift))
        audit.finish(record(f"r{shift}", ended=now + shift, duration_ms=5.0))
        audit.sync()
    monkeypatch.undo()
    entries = read()
    assert [e["seq"] for e in entries] == list(range(1, len(entries) + 1))
    assert all(e["duration_ms"] == 5.0 for e in entries if e["type"] == "request")
    assert verify(directory).entries["request"] == 4


@pytest.mark.parametrize(
    "config", [AuditConfig(sync_seconds=3600, checkpoint_seconds=3600, segment_bytes=4096)]
)
def test_a_segment_that_is_full_is_signed_and_closed(audit, record, directory) -> None:
    for number in range(12):
        audit.finish(record(f"r{number}"))
        audit.sync()
    firsts = segments(directory)
    assert len(firsts) > 1
    for first in firsts[:-1]:
        last = json.loads(segment_path(directory, first).read_bytes().splitlines()[-1])
        assert last["type"] == "checkpoint"
    assert verify(directory).segments == len(firsts)


def test_an_old_segment_is_closed_once(audit, directory, monkeypatch) -> None:
    audit.admin("one")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)
    audit.sync()
    audit.sync()
    monkeypatch.setattr(time, "time", lambda: now + 50 * 3600)
    audit.sync()
    assert segments(directory) == [1, 3]


def test_checkpoints_come_by_count_and_by_time(directory, record, read) -> None:
    config = AuditConfig(sync_seconds=3600, checkpoint_records=5, checkpoint_seconds=3600)
    with AuditLog(directory, config) as audit:
        for number in range(5):
            audit.finish(record(f"r{number}"))
        deadline = time.monotonic() + 30
        while not checkpoint_path(directory).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert read()[5]["type"] == "checkpoint"
        audit.finish(record("last"))
    assert [e["type"] for e in read()].count("checkpoint") == 2
    count = len(read())
    with AuditLog(directory, AuditConfig(sync_seconds=0.01, checkpoint_seconds=0.05)) as audit:
        audit.admin("test")
        time.sleep(0.3)
    # Nothing new, nothing to sign.
    assert len(read()) == count + 2


def test_a_checkpoint_stands_in_the_log_beside_the_chain_and_in_it(
    directory, config, read, caplog
) -> None:
    with caplog.at_level(logging.INFO), AuditLog(directory, config) as audit:
        audit.admin("test")
    (line,) = [r for r in caplog.records if r.getMessage() == "audit checkpoint"]
    logged = Checkpoint.model_validate(line.bedside)
    logged.verify(read_public_key(audit_keys(directory).public_path))
    assert logged == read_checkpoint(directory)
    assert (logged.seq, logged.hash) == (read()[0]["seq"], read()[0]["hash"])
    assert read()[1]["signature"] == logged.signature
    assert len(logged.signature) < 128  # the log would cut a longer field


def test_a_later_checkpoint_of_another_process_stays(directory, config, monkeypatch) -> None:
    with AuditLog(directory, config) as one, AuditLog(directory, config) as two:

        def overtaken(*arguments: object) -> None:
            monkeypatch.undo()
            two.admin("two")
            two.sync()
            write_checkpoint(*arguments)

        one.admin("one")
        monkeypatch.setattr(journal_module, "write_checkpoint", overtaken)
        one.sync()
    assert read_checkpoint(directory).seq == 3
    assert verify(directory).entries == {"admin": 2, "checkpoint": 2}


def test_a_forged_checkpoint_file_stops_the_start(directory, config) -> None:
    with AuditLog(directory, config) as audit:
        audit.admin("test")
    found = json.loads(checkpoint_path(directory).read_bytes())
    checkpoint_path(directory).write_text(json.dumps({**found, "seq": 99}))
    with pytest.raises(AuditError, match="not signed with this house's audit key"):
        AuditLog(directory, config).start()


def test_a_missing_signing_key_stops_the_start(directory, config) -> None:
    with AuditLog(directory, config) as audit:
        audit.admin("test")
    audit_keys(directory).private_path.unlink()
    with pytest.raises(ArtifactError, match="restore it from a backup"):
        AuditLog(directory, config).start()


@pytest.mark.parametrize("action", ["", "Free text", "a-b", "x" * 65])
def test_an_action_is_a_code(audit, action) -> None:
    with pytest.raises(ValueError, match="a code"):
        audit.admin(action)


def test_directory_lies_below_the_home_unless_it_is_named(tmp_path) -> None:
    assert audit_directory(AuditConfig(), tmp_path) == tmp_path / "gateway" / "audit"
    named = AuditConfig(directory=tmp_path / "x")
    assert audit_directory(named, tmp_path / "home") == tmp_path / "x"


def test_an_append_is_cheap(audit, record, monkeypatch) -> None:
    """40 µs are the aim (see the report of a bench); here only that nothing grows or syncs."""
    called: Counter[str] = Counter()

    def counted(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def call(*arguments: object) -> object:
            if threading.current_thread() is threading.main_thread():
                called[name] += 1
            return real(*arguments)

        return call

    for name in ("open", "read", "pread", "write", "pwrite", "fsync", "fdatasync"):
        monkeypatch.setattr(os, name, counted(name))
    one = record("r1", pseudonym="1." + "A" * 107, model_digest="ab" * 32, evidence="cd" * 32)
    assert 700 < len(request_content(one)) < 1200
    for _ in range(1000):
        audit.finish(one)
    assert called == dict.fromkeys(("pread", "write", "pwrite"), 1000)


def test_a_slow_disk_does_not_slow_an_append(directory, config, record, monkeypatch) -> None:
    entered, leave, left = threading.Event(), threading.Event(), []

    def slow(handle: int) -> None:
        entered.set()
        left.append(leave.wait(60))

    with AuditLog(directory, AuditConfig(sync_seconds=0.01)) as audit:
        monkeypatch.setattr(os, "fdatasync", slow)
        assert entered.wait(30)
        audit.finish(record("r1"))
        assert not left  # the disk is still at it
        leave.set()


def test_no_content_has_a_place(record) -> None:
    names = set(MEMBERS) | set(re.findall(r'"(\w+)":', request_content(record()).decode()))
    assert not names & {"prompt", "messages", "content", "answer", "text", "body", "query"}
