"""The chain: shared by processes, mended after kills, closed to anything else."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.chain import ZEROS, content, parse
from bedside_inference.audit import chain as chain_module
from bedside_inference.audit.chain import Chain
from bedside_inference.audit.entries import AuditError, Head, head_path, segment_path, segments
from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.record import RequestRecord
from bedside_inference.audit.verify import verify
from bedside_inference.config import AuditConfig

ENTRY = content("admin", {"action": "test", "ids": {}})


def only_segment(directory: Path) -> Path:
    (first,) = segments(directory)
    return segment_path(directory, first)


def test_a_line_is_defined_by_its_bytes(audit, directory) -> None:
    audit.admin("model_switched", model="m1")
    audit.admin("model_switched", model="m2")
    one, two = only_segment(directory).read_bytes().splitlines()
    stripped = re.sub(rb',"hash":"[0-9a-f]{64}"}$', b"}", one)
    entry = json.loads(one)
    assert entry["hash"] == hashlib.sha256(stripped).hexdigest()
    assert (entry["seq"], entry["prev"]) == (1, ZEROS)
    assert (json.loads(two)["seq"], json.loads(two)["prev"]) == (2, entry["hash"])


def test_nobody_else_may_read_it(audit, directory) -> None:
    audit.admin("test")
    audit.sync()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in directory.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert stat.S_IMODE((directory.parent / "keys" / "audit.pem").stat().st_mode) == 0o600


def test_root_leaves_somebody_elses_log_alone(directory, monkeypatch) -> None:
    appended(directory)
    if os.geteuid() == 0:
        os.chown(head_path(directory), 1000, 1000)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(AuditError, match="run this as the gateway's user"):
        Chain(directory).open()


def test_several_logs_on_one_chain_share_its_end(directory, config) -> None:
    with AuditLog(directory, config) as one, AuditLog(directory, config) as two:
        for _ in range(5):
            one.admin("one")
            two.admin("two")
    assert verify(directory).entries["admin"] == 10


def test_a_closed_log_takes_nothing(directory, config) -> None:
    with AuditLog(directory, config) as audit:
        audit.admin("test")
    with pytest.raises(AuditError, match="closed"):
        audit.admin("test")


FORK = multiprocessing.get_context("fork")
"""Real processes that need not import everything again."""


def serve(directory: Path, name: str, count: int, kilobytes: int, pipe: int) -> None:
    config = AuditConfig(sync_seconds=0.01, checkpoint_records=40, segment_bytes=kilobytes * 1024)

    def record(number: int) -> RequestRecord:
        return RequestRecord(
            request_id=f"{name}-{number}", started=time.time(), client_address="192.0.2.7",
            client_app="test", method="POST", route="/v1/chat/completions", outcome="answered",
        )  # fmt: skip

    with AuditLog(directory, config) as audit:
        for number in range(count):
            audit.begin(record(number))
            # Only now does a caller know that the request stands in the log.
            os.write(pipe, f"{name}-{number}\n".encode())
            audit.finish(record(number))


class Writer:
    """A process that serves requests; what it tells of them is collected."""

    def __init__(self, directory: Path, name: str, count: int, kilobytes: int = 64) -> None:
        self.output, pipe = os.pipe()
        arguments = (directory, name, count, kilobytes, pipe)
        self.process = FORK.Process(target=serve, args=arguments)
        self.process.start()
        os.close(pipe)
        self.told = b""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self) -> None:
        with os.fdopen(self.output, "rb") as file:
            for line in file:
                self.told += line

    def end(self) -> int | None:
        self.process.join(60)
        self.reader.join(60)
        return self.process.exitcode


def test_four_processes_keep_one_chain(directory, read) -> None:
    writers = [Writer(directory, f"w{i}", 500) for i in range(4)]
    assert [writer.end() for writer in writers] == [0] * 4
    report = verify(directory)
    assert (report.entries["begin"], report.entries["request"]) == (2000, 2000)
    assert report.entries["recovered"] == 0
    assert report.segments > 5
    assert {e["request_id"] for e in read() if e["type"] == "request"} == {
        f"w{i}-{n}" for i in range(4) for n in range(500)
    }


def test_kill_9_loses_no_request_and_doubles_none(directory, read) -> None:
    begun: set[str] = set()
    died: list[dict[str, object]] = []
    number, deadline = 0, time.monotonic() + 60
    # A kill between two requests interrupts none: the last round is repeated until one has.
    while number < 8 or (not died and time.monotonic() < deadline):
        writers = [Writer(directory, f"r{number}w{i}", 100_000, kilobytes=16) for i in range(2)]
        number += 1
        time.sleep(0.03 * min(number, 8))
        while number >= 8 and not writers[0].told and time.monotonic() < deadline:
            time.sleep(0.01)
        for writer in writers:
            writer.process.kill()
        assert [writer.end() for writer in writers] == [-signal.SIGKILL] * 2
        for writer in writers:
            # The last line may be torn: nobody knows of that request.
            begun.update(writer.told.decode().split("\n")[:-1])
        if number >= 8:
            with AuditLog(directory, AuditConfig()):
                pass
            died = [e for e in read() if e.get("outcome") == "gateway_died"]
    assert begun
    assert list((directory / "workers").iterdir()) == []
    report = verify(directory)
    entries = read()
    ids = [e["request_id"] for e in entries if e["type"] == "request"]
    assert len(ids) == len(set(ids))
    assert begun <= set(ids)
    assert {e["request_id"] for e in entries if e["type"] == "begin"} == set(ids)
    assert report.torn == 0
    assert died
    assert all(e["status"] is None and e["ended"] is None for e in died)


def appended(directory: Path, count: int = 3) -> None:
    chain = Chain(directory)
    chain.open()
    for _ in range(count):
        chain.append(ENTRY)
    chain.close()


def reopened(directory: Path) -> dict[str, object]:
    """Append to the chain; returns the entry `recovered` that came before."""
    chain = Chain(directory)
    chain.open()
    chain.append(ENTRY)
    chain.close()
    lines = segment_path(directory, segments(directory)[-1]).read_bytes().splitlines()
    return json.loads(lines[-2])


def changes(entry: dict[str, object]) -> tuple[object, ...]:
    return tuple(
        entry[name] for name in ("type", "reason", "dropped_bytes", "taken_over", "missing")
    )


def test_a_torn_line_is_cut_and_told(directory) -> None:
    appended(directory)
    with only_segment(directory).open("ab") as file:
        file.write(b'{"seq":4,"ti')
    assert changes(reopened(directory)) == ("recovered", "writer_killed", 12, 0, 0)


def test_a_whole_line_beyond_the_head_is_taken_over(directory) -> None:
    appended(directory)
    head = head_path(directory).read_bytes()
    appended(directory, 1)
    head_path(directory).write_bytes(head)
    assert changes(reopened(directory)) == ("recovered", "writer_killed", 0, 1, 0)


def test_a_live_writer_mends_what_a_killed_neighbour_left(directory) -> None:
    live = Chain(directory)
    live.open()
    live.append(ENTRY)
    with only_segment(directory).open("ab") as file:
        file.write(b"half a li")
    live.append(ENTRY)
    live.close()
    lines = only_segment(directory).read_bytes().splitlines()
    kinds = [json.loads(line)["type"] for line in lines]
    assert kinds == ["admin", "recovered", "admin"]


def test_a_lost_head_is_found_again_but_told(directory) -> None:
    appended(directory)
    head_path(directory).unlink()
    assert changes(reopened(directory)) == ("recovered", "head_lost", 0, 3, 0)
    head_path(directory).write_bytes(os.urandom(200))
    assert changes(reopened(directory)) == ("recovered", "head_lost", 0, 5, 0)


@pytest.mark.parametrize("lost", [1, 40, 600, 10**6])
def test_a_shortened_segment_is_not_papered_over(directory, lost) -> None:
    appended(directory)
    path = only_segment(directory)
    size = max(path.stat().st_size - lost, 0)
    os.truncate(path, size)
    for _ in range(2):
        with pytest.raises(AuditError, match="somebody has looked"):
            reopened(directory)
        assert path.stat().st_size == size


def test_a_segment_shortened_under_a_live_writer_stops_it(directory) -> None:
    live = Chain(directory)
    live.open()
    live.append(ENTRY)
    os.truncate(only_segment(directory), 10)
    for _ in range(2):
        with pytest.raises(AuditError, match="ends at byte 10"):
            live.append(ENTRY)
    live.close()


@pytest.mark.parametrize("name", ["head", "segment"])
def test_a_removed_file_stops_a_live_writer(directory, name) -> None:
    live = Chain(directory)
    live.open()
    live.append(ENTRY)
    (head_path(directory) if name == "head" else only_segment(directory)).unlink()
    with pytest.raises(AuditError, match="removed"):
        live.append(ENTRY)
    live.close()


def test_a_changed_last_line_is_seen_at_the_start(directory) -> None:
    appended(directory)
    path = only_segment(directory)
    raw = bytearray(path.read_bytes())
    raw[-200] ^= 1
    path.write_bytes(raw)
    with pytest.raises(AuditError, match="entry 3 was changed"):
        reopened(directory)


def test_a_foreign_line_beyond_the_head_is_not_taken_over(directory) -> None:
    appended(directory)
    path = only_segment(directory)
    line = path.read_bytes().splitlines(keepends=True)[-1]
    with path.open("ab") as file:
        file.write(line)
    with pytest.raises(AuditError, match="has the number 3 where 4 follows"):
        reopened(directory)


def restart_machine(monkeypatch) -> None:
    monkeypatch.setattr(chain_module, "boot_id", lambda: b"another boot id.")


def test_after_a_power_failure_the_head_may_be_ahead(directory, monkeypatch) -> None:
    appended(directory)
    path = only_segment(directory)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:50])
    restart_machine(monkeypatch)
    assert changes(reopened(directory)) == ("recovered", "power_failure", 50, 0, 2)


def test_after_a_power_failure_zeros_are_a_torn_line(directory, monkeypatch) -> None:
    appended(directory)
    path = only_segment(directory)
    raw = path.read_bytes()
    path.write_bytes(raw[:-300] + bytes(300))
    restart_machine(monkeypatch)
    assert changes(reopened(directory))[:2] == ("recovered", "power_failure")


def test_after_a_power_failure_the_head_may_be_far_behind(directory, config, monkeypatch) -> None:
    with AuditLog(directory, config) as audit:
        audit.admin("one")
        head = head_path(directory).read_bytes()
        audit.admin("two")
        audit.sync()
        with audit._chain.writing() as write:
            write.rotate()
        audit.admin("three")
    head_path(directory).write_bytes(head)
    restart_machine(monkeypatch)
    with AuditLog(directory, config):
        pass
    last = segment_path(directory, segments(directory)[-1]).read_bytes().splitlines()
    assert changes(json.loads(last[-2])) == ("recovered", "power_failure", 0, 4, 0)
    assert verify(directory).entries["admin"] == 3


def test_a_kill_while_a_power_failure_is_mended_hides_nothing(directory, monkeypatch) -> None:
    appended(directory)
    path = only_segment(directory)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    restart_machine(monkeypatch)

    def kill(*arguments: object) -> int:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "write", kill)
        Chain(directory).open()
    assert changes(reopened(directory)) == ("recovered", "power_failure", 0, 0, 2)


def test_a_segment_is_on_the_disk_before_the_head_names_another(directory, monkeypatch) -> None:
    chain = Chain(directory)
    chain.open()
    chain.append(ENTRY)
    old, synced = only_segment(directory), []

    def sync(handle: int) -> None:
        with head_path(directory).open("rb") as head:
            synced.append((os.fstat(handle).st_ino, Head.read(head.fileno()).first))

    monkeypatch.setattr(os, "fdatasync", sync)
    with chain.writing() as write:
        write(ENTRY)
        write.rotate()
    chain.close()
    assert synced == [(old.stat().st_ino, 1), (head_path(directory).stat().st_ino, 3)]


def test_a_lost_head_behind_an_emptied_segment_is_refused(directory) -> None:
    chain = Chain(directory)
    chain.open()
    with chain.writing() as write:
        write(ENTRY)
        write.rotate()
        write(ENTRY)
    chain.close()
    os.truncate(segment_path(directory, 1), 0)
    head_path(directory).unlink()
    with pytest.raises(AuditError, match="the line that it continues"):
        reopened(directory)


def test_what_was_signed_must_be_there_even_after_a_power_failure(
    directory, config, monkeypatch
) -> None:
    with AuditLog(directory, config) as audit:
        audit.admin("one")
        audit.admin("two")
    path = only_segment(directory)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    restart_machine(monkeypatch)
    with pytest.raises(AuditError, match="ends at entry 1, though 2 was signed"):
        AuditLog(directory, config).start()


def test_a_log_that_was_removed_whole_does_not_begin_anew(directory, config) -> None:
    with AuditLog(directory, config) as audit:
        audit.admin("one")
    for path in [head_path(directory), only_segment(directory)]:
        path.unlink()
    with pytest.raises(AuditError, match="though entry 1 was signed"):
        AuditLog(directory, config).start()


def test_a_full_disk_leaves_no_part_of_a_line(directory, monkeypatch) -> None:
    chain = Chain(directory)
    chain.open()
    chain.append(ENTRY)
    before = only_segment(directory).read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:100]))
    with pytest.raises(AuditError, match="No space left"):
        chain.append(ENTRY)
    assert only_segment(directory).read_bytes() == before
    monkeypatch.undo()
    assert chain.append(ENTRY).seq == 2
    chain.close()


def test_a_head_that_cannot_be_written_takes_the_line_back(directory, monkeypatch) -> None:
    chain = Chain(directory)
    chain.open()
    chain.append(ENTRY)
    before = only_segment(directory).read_bytes()

    def fail(*arguments: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(AuditError, match="Input/output error"):
        chain.append(ENTRY)
    assert only_segment(directory).read_bytes() == before
    monkeypatch.undo()
    assert chain.append(ENTRY).seq == 2
    chain.close()


LIMITED = """
import resource, signal, sys
from pathlib import Path
from bedside_inference.audit.chain import Chain
from bedside_inference.audit.entries import (AuditError)
from bedside_core.chain import content
from bedside_inference.audit.record import RequestRecord

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
chain = Chain(Path(sys.argv[1]))
chain.open()
entry = content("admin", {"action": "test", "ids": {}})
written = 0
try:
    while True:
        chain.append(entry)
        written += 1
except AuditError:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
chain.append(entry)
chain.close()
print(written + 1)
"""


def test_a_limit_of_the_system_leaves_no_part_of_a_line(directory) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(directory)], capture_output=True, check=True
    )
    lines = only_segment(directory).read_bytes().splitlines(keepends=True)
    assert len(lines) == int(done.stdout)
    assert [parse(line).seq for line in lines] == list(range(1, len(lines) + 1))


def test_an_entry_that_is_too_long_is_refused(directory) -> None:
    chain = Chain(directory)
    chain.open()
    with pytest.raises(AuditError, match="too long"):
        chain.append(content("admin", {"action": "x" * 70000}))
    assert chain.append(ENTRY).seq == 1
    chain.close()


def test_a_rotation_that_was_cut_short_goes_on(directory, config) -> None:
    with AuditLog(directory, config) as audit:
        audit.admin("one")
        audit.sync()
        with audit._chain.writing() as write:
            write.rotate()
    segment_path(directory, 3).unlink()
    assert verify(directory).segments == 2
    with AuditLog(directory, config) as audit:
        audit.admin("two")
    assert segments(directory) == [1, 3]
    assert verify(directory).entries == {"admin": 2, "checkpoint": 2}


def test_a_stale_head_finds_the_newer_segments(directory) -> None:
    chain = Chain(directory)
    chain.open()
    chain.append(ENTRY)
    head = head_path(directory).read_bytes()
    with chain.writing() as write:
        for _ in range(2):
            write(ENTRY)
            write.rotate()
        write(ENTRY)
    chain.close()
    head_path(directory).write_bytes(head)
    assert changes(reopened(directory)) == ("recovered", "writer_killed", 0, 3, 0)


def test_a_gap_behind_a_stale_head_is_not_papered_over(directory) -> None:
    chain = Chain(directory)
    chain.open()
    chain.append(ENTRY)
    head = head_path(directory).read_bytes()
    with chain.writing() as write:
        write(ENTRY)
        write.rotate()
        write(ENTRY)
        write.rotate()
        write(ENTRY)
    chain.close()
    segment_path(directory, 3).unlink()
    head_path(directory).write_bytes(head)
    with pytest.raises(AuditError, match="what followed entry 2 is missing"):
        reopened(directory)


STEPS = ("begin", "finish", "finish", "finish only", "sync", "restart", "kill", "full", "space")


class Disk:
    """A disk that may be full, and then takes a part of a line or none of it."""

    def __init__(self) -> None:
        self.full = False
        self.write, self.lines = os.write, 0

    def __call__(self, handle: int, data: bytes) -> int:
        if not self.full or not data.startswith(b'{"seq"'):
            return self.write(handle, data)
        self.lines += 1
        if self.lines % 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.write(handle, data[: self.lines * 7 % len(data)])


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=40))
def test_any_order_of_events_gives_one_record_per_begun_request(
    tmp_path_factory, record, steps
) -> None:
    directory = tmp_path_factory.mktemp("h") / "audit"
    config = AuditConfig(sync_seconds=3600, checkpoint_records=3, segment_bytes=4096)
    disk = Disk()
    audit = AuditLog(directory, config)
    audit.start()
    number, running, begun, told = 0, [], set(), set()

    def restart(*, kill: bool) -> AuditLog:
        if kill:
            killed(audit)
        else:
            with suppress(AuditError):
                audit.close()
        disk.full = False
        after = AuditLog(directory, config)
        after.start()
        return after

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", disk)
        for step in steps:
            with suppress(AuditError):
                match step:
                    case "full" | "space":
                        disk.full = step == "full"
                    case "begin":
                        number += 1
                        audit.begin(record(f"r{number}"))
                        running.append(f"r{number}")
                        begun.add(f"r{number}")
                    case "finish only":
                        number += 1
                        audit.finish(record(f"r{number}"))
                        told.add(f"r{number}")
                    case "finish" if running:
                        audit.finish(record(running.pop(0)))
                    case "sync":
                        audit.sync()
                    case "restart" | "kill":
                        audit, running = restart(kill=step == "kill"), []
        restart(kill=True).close()
    report = verify(directory)
    lines = [
        json.loads(line)
        for first in segments(directory)
        for line in segment_path(directory, first).read_bytes().splitlines()
    ]
    ids = [e["request_id"] for e in lines if e["type"] == "request"]
    assert sorted(ids) == sorted(begun | told)
    reasons = {e["reason"] for e in lines if e["type"] == "recovered"}
    assert reasons <= {"unwritable"}
    assert report.torn == 0


def killed(audit: AuditLog) -> None:
    """What remains of a log whose process died: its locks are free, nothing was closed."""
    audit._stop.set()
    audit._wake.set()
    audit._thread.join()
    os.close(audit._worker._handle)
    audit._chain.close()
