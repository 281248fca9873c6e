"""The registry's log: signed by who may, whole or not at all, and no edit of it goes unseen."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.chain import ZEROS, close_line, content, open_line
from bedside_core.errors import ArtifactError
from bedside_core.registry import remembered, signed_log
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_core.registry.signed_log import SignedLog


def log_in(home: Path) -> SignedLog:
    """A new house's log; its first entry names the keys."""
    registry = Registry(home)
    found(registry)
    log = registry.log
    return SignedLog(log.path, {"decide": "operator", "look": "evidence"}, log.keys, registry.pin)


@pytest.fixture
def log(tmp_path: Path) -> SignedLog:
    return log_in(tmp_path / "home")


def fill(log: SignedLog, number: int) -> None:
    for n in range(number):
        with log.writing() as writing:
            writing.add("look" if n % 2 else "decide", {"n": n, "reason": "because"})


def test_each_entry_names_and_carries_its_key(log) -> None:
    fill(log, 2)
    keys, first, second = log.entries()
    assert keys.type == "keys"
    assert first.members["key"] == keys.members["key"] == log.keys["operator"].key_id
    assert second.members["key"] == log.keys["evidence"].key_id
    assert [*first.members][-4:] == ["key", "signature", "prev", "hash"]
    head = json.loads(log.head_path.read_bytes())
    assert (head["seq"], head["hash"]) == (3, second.hash)
    assert log.path.stat().st_mode & 0o777 == 0o644  # the engine may run as somebody else


def test_nothing_is_there_before_the_first_entry(tmp_path) -> None:
    log = Registry(tmp_path / "home").log
    assert log.entries() == []
    assert not log.path.parent.exists()
    with log.writing() as writing, pytest.raises(ArtifactError, match="`bedside registry init`"):
        writing.add("plan", {})
    assert not log.path.exists()


def test_an_entry_under_the_wrong_key_is_refused(log) -> None:
    """The evaluation's key writes looks alone, whoever holds it."""
    fill(log, 2)
    thief = SignedLog(log.path, {"decide": "evidence", "look": "evidence"}, log.keys, log.pin)
    thief.read = log.read  # type: ignore[method-assign]
    with thief.writing() as writing:
        writing.add("decide", {"n": 3})
    with pytest.raises(ArtifactError, match="line 4: is not signed with the key that may write"):
        log.entries()


def test_a_type_that_is_not_known_is_refused(log) -> None:
    fill(log, 1)
    later = SignedLog(log.path, {**log.roles, "vote": "operator"}, log.keys, log.pin)
    with later.writing() as writing:
        writing.add("vote", {"n": 3})
    with pytest.raises(ArtifactError, match="line 3: has a type that this version does not know"):
        log.entries()


def test_an_unsigned_entry_is_refused(log) -> None:
    fill(log, 1)
    members = {"n": 2, "key": log.keys["operator"].key_id}
    last = log.entries()[-1]
    line, _ = close_line(open_line(3, time.time(), content("decide", members), last.hash))
    with log.path.open("ab") as file:
        file.write(line)
    with pytest.raises(ArtifactError, match="line 3: has no signature"):
        log.entries()


def test_another_house_is_refused(log, tmp_path) -> None:
    """Log, head and keys that fit each other are still not this house's: the pin says so."""
    fill(log, 3)
    other = log_in(tmp_path / "other")
    fill(other, 3)
    shutil.copy(other.path, log.path)
    with pytest.raises(ArtifactError, match=r"log\.head is not what this house signed"):
        log.entries()
    shutil.copy(other.head_path, log.head_path)
    shutil.copytree(other.path.parent / "keys", log.path.parent / "keys", dirs_exist_ok=True)
    with pytest.raises(ArtifactError, match=r"pins the operator key .* the registry was replaced"):
        log.entries()


EDITS = {
    "cut": lambda lines: lines[:-1],
    "emptied": lambda lines: [],
    "first lost": lambda lines: lines[1:],
    "middle lost": lambda lines: [*lines[:2], *lines[3:]],
    "doubled": lambda lines: [*lines[:2], lines[1], *lines[2:]],
    "last doubled": lambda lines: [*lines, lines[-1]],
    "swapped": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "edited": lambda lines: [lines[0], lines[1].replace(b"because", b"whyever"), *lines[2:]],
    "newline lost": lambda lines: [*lines[:-1], lines[-1].rstrip(b"\n")],
    "empty line": lambda lines: [*lines, b"\n"],
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_edits_are_found(log, edit) -> None:
    fill(log, 4)
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(edit(lines)))
    with pytest.raises(ArtifactError, match=r"log\.jsonl"):
        log.entries()
    with pytest.raises(ArtifactError, match=r"log\.jsonl"), log.writing():
        pass


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[SignedLog, bytes]:
    log = log_in(tmp_path_factory.mktemp("house"))
    fill(log, 4)
    return log, log.path.read_bytes()


@given(st.data())
def test_any_single_edit_is_found(sample: tuple[SignedLog, bytes], data: st.DataObject) -> None:
    """One stretch of the file replaced by another: refused, or read as exactly what was written.

    The latter only if what was put there is a torn line after the end.
    """
    log, raw = sample
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 400)))
    piece = data.draw(st.binary(max_size=20) | st.sampled_from([raw, raw[:100], b"\n"]))
    changed = raw[:start] + piece + raw[end:]
    log.path.write_bytes(raw)
    before = log.entries()
    log.path.write_bytes(changed)
    try:
        found = log.entries()
    except ArtifactError:
        return
    finally:
        log.path.write_bytes(raw)
    assert found == before
    assert changed[: len(raw)] == raw
    assert b"\n" not in changed[len(raw) :]


@pytest.mark.parametrize(
    "head",
    [b"", b"{}", b"\xff", b'{"seq":4,"hash":"%s","key":"k","signature":"s"}' % (b"0" * 64)],
    ids=["empty", "object", "binary", "foreign"],
)
def test_a_damaged_head_is_told(log, head) -> None:
    fill(log, 4)
    log.head_path.write_bytes(head)
    with pytest.raises(ArtifactError, match=r"log\.head is not what this house signed"):
        log.entries()


def test_a_lost_head_is_told(log) -> None:
    fill(log, 2)
    log.head_path.unlink()
    with pytest.raises(ArtifactError, match=r"log\.head is missing"):
        log.entries()


def test_a_lost_log_is_told(log) -> None:
    fill(log, 2)
    log.path.unlink()
    with pytest.raises(
        ArtifactError, match="ends with entry 0, and entry 3 was signed as the last"
    ):
        log.entries()


@pytest.mark.parametrize("role", ["operator", "evidence"])
def test_an_earlier_log_is_known_by_who_has_signed_since(log, role) -> None:
    """A step that was taken over keeps log and head of one day, and puts them back on another."""
    fill(log, 2)
    earlier = log.path.read_bytes(), log.head_path.read_bytes()
    fill(log, 2)
    others = [key for name, key in log.keys.items() if name != role]
    for key in others:
        key.private_path.with_suffix(".seen").unlink()
    log.path.write_bytes(earlier[0])
    log.head_path.write_bytes(earlier[1])
    number = {"operator": 4, "evidence": 5}[role]
    with pytest.raises(ArtifactError, match=f"is an earlier one: it lacks entry {number}, which"):
        log.entries()
    with pytest.raises(ArtifactError, match="is an earlier one"), log.writing():
        pass


def test_an_earlier_log_cannot_be_known_without_a_key(log) -> None:
    """The engine holds none; the operator's next verb finds it."""
    fill(log, 2)
    earlier = log.path.read_bytes(), log.head_path.read_bytes()
    fill(log, 2)
    for key in log.keys.values():
        key.private_path.with_suffix(".seen").unlink()
    log.path.write_bytes(earlier[0])
    log.head_path.write_bytes(earlier[1])
    assert len(log.entries()) == 3


def test_another_entry_in_its_place_and_a_damaged_note(log) -> None:
    fill(log, 2)
    note = log.keys["operator"].private_path.with_suffix(".seen")
    content = json.loads(note.read_bytes())
    note.write_text(json.dumps(content | {"hash": "0" * 64}))
    with pytest.raises(ArtifactError, match="is an earlier one: it lacks entry 2"):
        log.entries()
    note.write_text("{}")
    with pytest.raises(ArtifactError, match="cannot be read - restore it from a backup, together"):
        log.entries()


def test_an_entry_stands_without_its_note(log, monkeypatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(remembered, "write_atomic", full)
    fill(log, 1)
    assert len(log.entries()) == 2


@pytest.mark.parametrize("entries", [0, 3])
def test_a_writer_killed_between_line_and_head(log, entries) -> None:
    fill(log, entries)
    head = log.head_path.read_bytes()
    if entries:
        fill(log, 1)
        log.head_path.write_bytes(head)
    else:
        log.head_path.unlink()
    before = len(log.entries())
    assert before == (entries + 2 if entries else 1)
    fill(log, 1)
    assert len(log.entries()) == before + 1


def test_a_torn_line_is_repaired(log) -> None:
    fill(log, 2)
    whole = log.path.read_bytes()
    with log.path.open("ab") as file:
        file.write(whole[:77])
    assert len(log.entries()) == 3
    fill(log, 1)
    assert log.path.read_bytes().startswith(whole)
    assert len(log.entries()) == 4


@pytest.mark.parametrize("where", ["line", "head"])
def test_an_entry_that_cannot_be_written_leaves_no_part(log, monkeypatch, where) -> None:
    fill(log, 2)
    before = log.path.read_bytes(), log.head_path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"line": (os, "fsync"), "head": (signed_log, "write_atomic")}[where], full)
    with pytest.raises(ArtifactError, match=r"disk full while writing log\.jsonl"):
        fill(log, 1)
    monkeypatch.undo()
    assert (log.path.read_bytes(), log.head_path.read_bytes()) == before


def test_a_full_disk(small_disk) -> None:
    log = log_in(small_disk / "home")
    fill(log, 1)
    with (small_disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    written = 2
    with pytest.raises(ArtifactError, match="disk full"):
        for _ in range(100):
            fill(log, 1)
            written += 1
    assert len(log.entries()) == written
    (small_disk / "filler").unlink()
    fill(log, 1)
    assert len(log.entries()) == written + 1


def test_an_entry_too_long_is_refused_before_anything_is_written(log) -> None:
    with pytest.raises(ArtifactError, match="is too long"), log.writing() as writing:
        writing.add("decide", {"reason": "x" * signed_log.MAX_LINE_BYTES})
    assert len(log.entries()) == 1


WRITER = """
import sys
from pathlib import Path
from bedside_core.registry.registry import Registry
registry = Registry(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[2])):
    with registry.log.writing() as log:
        log.add("plan", {"n": n})
    print(n, flush=True)
"""


def test_two_processes_append_at_once(registry, start) -> None:
    processes = [start(WRITER, registry.home, 20) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        assert process.communicate()[1] == ""
    numbers = [entry.members["n"] for entry in registry.log.entries()[1:]]
    assert sorted(numbers) == sorted([*range(20)] * 2)


def test_kill_9_at_any_moment(registry, start) -> None:
    """What was acknowledged is there, and at most one entry more."""
    told = 1
    for turn in range(5):
        process = start(WRITER, registry.home, 10_000)
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        for _ in range(3 + turn):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        told += 3 + turn + len(process.communicate()[0].splitlines())
        assert told <= len(registry.log.entries()) <= told + turn + 1
    with registry.log.writing() as log:
        log.add("plan", {"n": -1})
    assert registry.log.entries()[-1].members["n"] == -1


def test_readers_meet_only_whole_logs(registry, start) -> None:
    writer = start(WRITER, registry.home, 30)
    assert writer.stdout.readline() == "ready\n"
    writer.stdin.write("go\n")
    writer.stdin.flush()
    seen = 0
    while writer.poll() is None:
        now = len(Registry(registry.home).log.entries())
        assert now >= seen
        seen = now
    assert len(registry.log.entries()) == 31


def test_the_first_entry_continues_nothing(log) -> None:
    fill(log, 1)
    assert log.entries()[0].prev == ZEROS
