"""Verification finds every kind of tampering, at its place."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import threading
import time

import pytest

from bedside_core.chain import ZEROS, content
from bedside_core.errors import InputError
from bedside_inference.audit import verify as verify_module
from bedside_inference.audit.chain import Chain
from bedside_inference.audit.checkpoint import Checkpoint, checkpoint_path
from bedside_inference.audit.entries import AuditError, head_path, segment_path, segments
from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.verify import read_anchor, verify
from bedside_inference.config import AuditConfig


@pytest.fixture
def filled(directory, config, record):
    """A small log of two segments."""
    with AuditLog(directory, config) as audit:
        for number in range(4):
            audit.begin(record(f"r{number}"))
            audit.finish(record(f"r{number}", status=200))
            if number == 1:
                audit.sync()
                with audit._chain.writing() as write:
                    write.rotate()
    assert segments(directory) == [1, 6]
    return directory


def lines_of(directory, first: int) -> list[bytes]:
    return segment_path(directory, first).read_bytes().splitlines(keepends=True)


def put(directory, first: int, lines: list[bytes]) -> None:
    segment_path(directory, first).write_bytes(b"".join(lines))


def place(first: int, index: int) -> str:
    """How an error names a line."""
    return rf"segment-{first:012d}\.jsonl line {index + 1} \(entry {first + index}\)"


def test_a_whole_log_verifies(filled, read) -> None:
    report = verify(filled)
    assert report.entries == {"begin": 4, "request": 4, "checkpoint": 2}
    assert (report.segments, report.torn, report.deleted) == (2, 0, 0)
    assert (report.first, report.last) == (read()[0]["time"], read()[-1]["time"])


def test_every_flipped_byte_is_found(filled) -> None:
    chosen = random.Random(7)
    for first in segments(filled):
        for index, line in enumerate(lines := lines_of(filled, first)):
            positions = {*chosen.sample(range(len(line)), 12), *range(len(line) - 75, len(line))}
            for position in positions:
                broken = bytearray(line)
                broken[position] ^= 1 << chosen.randrange(8)
                put(filled, first, [*lines[:index], bytes(broken), *lines[index + 1 :]])
                with pytest.raises(AuditError, match=place(first, index)):
                    verify(filled)
        put(filled, first, lines)
    verify(filled)


def test_every_deleted_line_is_found(filled) -> None:
    for first in segments(filled):
        lines = lines_of(filled, first)
        for index in range(len(lines)):
            put(filled, first, lines[:index] + lines[index + 1 :])
            with pytest.raises(AuditError, match="entry"):
                verify(filled)
        put(filled, first, lines)


def test_a_line_deleted_in_the_middle_is_named(filled) -> None:
    lines = lines_of(filled, 1)
    put(filled, 1, lines[:2] + lines[3:])
    with pytest.raises(AuditError, match=place(1, 2) + ": has the number 4 where 3 follows"):
        verify(filled)


def test_every_inserted_line_is_found(filled) -> None:
    for first in segments(filled):
        lines = lines_of(filled, first)
        for index in range(len(lines) + 1):
            for line in (lines[0], lines[-1], b"{}\n", b"\n"):
                put(filled, first, [*lines[:index], line, *lines[index:]])
                with pytest.raises(AuditError, match=r"line \d+ \(entry \d+\)"):
                    verify(filled)
        put(filled, first, lines)


def test_every_swap_is_found(filled) -> None:
    for first in segments(filled):
        lines = lines_of(filled, first)
        for index in range(len(lines) - 1):
            swapped = [*lines[:index], lines[index + 1], lines[index], *lines[index + 2 :]]
            put(filled, first, swapped)
            with pytest.raises(AuditError, match=place(first, index)):
                verify(filled)
        put(filled, first, lines)


def test_every_truncation_is_found(filled) -> None:
    for first in segments(filled):
        raw = segment_path(filled, first).read_bytes()
        for size in {*range(0, len(raw), 97), len(raw) - 1, 0}:
            segment_path(filled, first).write_bytes(raw[:size])
            with pytest.raises(AuditError, match="entry"):
                verify(filled)
        segment_path(filled, first).write_bytes(raw)


def test_a_missing_segment_is_named(filled) -> None:
    raw = segment_path(filled, 6).read_bytes()
    segment_path(filled, 6).unlink()
    with pytest.raises(AuditError, match=place(6, 0) + ": is missing"):
        verify(filled)
    segment_path(filled, 6).write_bytes(raw)
    segment_path(filled, 1).unlink()
    with pytest.raises(AuditError, match=place(6, 0) + ".*no tombstone"):
        verify(filled)


def test_an_additional_segment_is_named(filled) -> None:
    shutil.copy(segment_path(filled, 6), segment_path(filled, 99))
    with pytest.raises(AuditError, match=r"000099.* is not part of the chain"):
        verify(filled)


def test_every_line_with_a_hash_made_anew_is_found(filled) -> None:
    for first in segments(filled):
        lines = lines_of(filled, first)
        for index, line in enumerate(lines):
            body = line[: -len(f',"hash":"{ZEROS}"}}\n')].replace(b'"time":"2', b'"time":"3')
            digest = hashlib.sha256(body + b"}").hexdigest().encode()
            put(filled, first, [*lines[:index], body + b',"hash":"' + digest + b'"}\n',
                                *lines[index + 1 :]])  # fmt: skip
            with pytest.raises(AuditError, match=r"does not continue|was written last|is not the"):
                verify(filled)
        put(filled, first, lines)


def test_a_cut_with_a_head_to_match_is_found_by_the_checkpoint_beside_it(filled) -> None:
    put(filled, 6, lines_of(filled, 6)[:1])
    head_path(filled).unlink()
    chain = Chain(filled)
    chain.open()
    chain.close()
    with pytest.raises(AuditError, match="ends with entry 7, and entry 9 was signed"):
        verify(filled)


def test_entries_made_anew_are_found_by_the_checkpoint_beside_it(filled) -> None:
    lines = lines_of(filled, 6)
    put(filled, 6, lines[:-3])
    head_path(filled).unlink()
    chain = Chain(filled)
    chain.open()
    for _ in range(4):
        chain.append(content("admin", {"action": "forged", "ids": {}}))
    chain.close()
    with pytest.raises(AuditError, match="is not the entry that was signed in a checkpoint"):
        verify(filled)


def test_an_anchor_kept_elsewhere_finds_what_all_files_here_agree_on(filled, tmp_path) -> None:
    anchor = tmp_path / "anchor"
    line = {
        "time": "x",
        "event": "audit checkpoint",
        **json.loads(checkpoint_path(filled).read_bytes()),
    }
    anchor.write_text(json.dumps(line) + "\n")
    assert verify(filled, read_anchor(anchor)).segments == 2
    lines = lines_of(filled, 1)
    put(filled, 1, lines[:2])
    segment_path(filled, 6).unlink()
    head_path(filled).unlink()
    checkpoint_path(filled).unlink()
    chain = Chain(filled)
    chain.open()
    for _ in range(20):
        chain.append(content("admin", {"action": "forged", "ids": {}}))
    chain.close()
    verify(filled)
    point = read_anchor(anchor)
    with pytest.raises(
        AuditError, match=rf"\(entry {point.seq}\): is not the entry that was signed"
    ):
        verify(filled, point)


def test_a_foreign_anchor_is_refused(filled, tmp_path) -> None:
    forged = Checkpoint(seq=1, hash="0" * 64, signature="A" * 86 + "==")
    with pytest.raises(AuditError, match="not signed with this house's audit key"):
        verify(filled, forged)
    for text in ("", "not json", "{}", '{"seq":"1"}'):
        (tmp_path / "anchor").write_text(text)
        with pytest.raises(InputError, match="not a checkpoint"):
            read_anchor(tmp_path / "anchor")


def test_a_missing_checkpoint_file_is_told(filled) -> None:
    checkpoint_path(filled).unlink()
    with pytest.raises(AuditError, match=r"checkpoint\.json is missing"):
        verify(filled)


@pytest.mark.parametrize(
    ("kind", "members", "problem"),
    [
        ("checkpoint", {"of_seq": 1}, "lacks what"),
        ("checkpoint", {"of_seq": 1, "of_hash": "0" * 64, "signature": "x"}, "of another entry"),
        ("tombstone", {"first_seq": 1}, "lacks what"),
        (
            "tombstone",
            {"segment": "s", "first_seq": 1, "last_seq": 5, "last_hash": "0", "records": 5,
             "first_time": "", "last_time": "", "sha256": "", "signature": "AA=="},
            "not signed",
        ),
    ],
)  # fmt: skip
def test_an_entry_that_claims_to_be_signed_is_checked(filled, kind, members, problem) -> None:
    chain = Chain(filled)
    chain.open()
    seq = chain.append(content(kind, {**members})).seq
    chain.close()
    with pytest.raises(AuditError, match=rf"\(entry {seq}\): .*{problem}"):
        verify(filled)


def test_a_killed_writers_line_is_reported_and_harmless(filled) -> None:
    with segment_path(filled, 6).open("ab") as file:
        file.write(b'{"seq":11,"t')
    assert verify(filled).torn == 12


def test_there_is_nothing_to_verify(directory, tmp_path) -> None:
    with pytest.raises(AuditError, match="no audit log in"):
        verify(directory)
    assert list(tmp_path.iterdir()) == []


def test_it_verifies_while_the_gateway_writes(directory, record) -> None:
    config = AuditConfig(sync_seconds=0.001, checkpoint_records=10, segment_bytes=4096)
    stop = threading.Event()
    with AuditLog(directory, config) as audit:
        audit.admin("first")

        def serve() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                audit.begin(record(f"r{number}"))
                audit.finish(record(f"r{number}"))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            counts = [verify(directory).entries.total()]
            deadline = time.monotonic() + 60
            while len(counts) < 8 or (counts[-1] == counts[0] and time.monotonic() < deadline):
                counts.append(verify(directory).entries.total())
        finally:
            stop.set()
            thread.join()
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def test_a_long_log_shows_progress(filled, monkeypatch, capsys) -> None:
    monkeypatch.setattr(verify_module, "LONG_BYTES", 1)
    monkeypatch.setattr(verify_module, "_STEP_BYTES", 1500)
    verify(filled)
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (line["progress"], line["done"]) == ("verify", line["total"])
