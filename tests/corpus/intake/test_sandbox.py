"""Parsers that misbehave: each fault is a record, and the next file is read."""

import signal
import sys
from pathlib import Path

import pytest

from bedside_core.errors import InputError
from bedside_corpus.intake import sandbox

sys.path.insert(0, str(Path(__file__).parent))
import samples

GOOD = samples.pdf([[(50, 700, "Befund")]])
PROGRAM = """
import os, pathlib, socket, sys, time
from bedside_corpus.intake import nursery, parsers
from bedside_corpus.intake.record import Parsed

def fault(content):
    what = content.read().decode()
    if what == "crash":
        os.abort()
    if what == "spin":
        while True: pass
    if what == "sleep":
        time.sleep(600)
    if what == "memory":
        return Parsed("x" * 2**31)
    if what == "error":
        raise RuntimeError(what)
    said = []
    for attempt in (lambda: socket.socket(), lambda: open("/etc/hostname"), lambda: os.pipe()):
        try: attempt(); said.append("reached")
        except OSError: said.append("refused")
    return Parsed(" ".join(said))

parsers.DOCUMENTS["html"] = fault
nursery.CPU_SECONDS = 1
nursery.main()
"""


@pytest.fixture
def faulty(monkeypatch, tmp_path):
    """The real process, but for a parser of HTML that does what the file says."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    real = sandbox.subprocess.Popen

    def start(arguments, **settings):
        return real([arguments[0], str(program), arguments[-1]], **settings)

    sandbox.end()
    monkeypatch.setattr(sandbox.subprocess, "Popen", start)
    monkeypatch.setattr(sandbox, "SECONDS", 3.0)
    yield
    sandbox.end()


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("crash", "crashed"),
        ("spin", "too_slow"),
        ("sleep", "too_slow"),
        ("memory", "too_large"),
        ("error", "malformed"),
    ],
)
def test_a_fault_is_a_reason_and_the_next_file_is_read(faulty, read_bytes, what, reason):
    (found,) = read_bytes("a.html", what.encode(), "html")
    assert (found.fields, found.damage) == (None, reason)
    (found,) = read_bytes("a.pdf", GOOD, "pdf")
    assert found.fields["text"] == "Befund"


def test_a_parser_reaches_no_file_no_socket_and_no_pipe(faulty, read_bytes):
    (found,) = read_bytes("a.html", b"reach", "html")
    assert found.fields["text"] == "refused refused refused"


def test_it_runs_in_a_network_of_its_own_or_says_that_it_does_not(read_bytes, capsys):
    sandbox.end()
    read_bytes("a.pdf", GOOD, "pdf")
    process = sandbox.nursery().process.pid
    ours, theirs = (Path(f"/proc/{pid}/ns/net").readlink() for pid in ("self", process))
    assert ours != theirs or "no network namespace" in capsys.readouterr().out


def test_what_is_left_unread_leaves_no_process_behind(tmp_path):
    from bedside_corpus.config import Source
    from bedside_corpus.sources import SourceFile

    crawl = samples.warc(*(samples.page(b"<p>Text " * 9999) for _ in range(30)))
    (tmp_path / "a.warc").write_bytes(crawl)
    source = Source(name="s", path=tmp_path, format="warc", personal_data="none")
    records = sandbox.parse(SourceFile(source, tmp_path / "a.warc", "a.warc"))
    assert next(records).fields
    records.close()
    children = Path(f"/proc/{sandbox.nursery().process.pid}/task")
    assert all(not (task / "children").read_text() for task in children.iterdir())


def test_a_killed_process_is_a_reason_and_started_anew(read_bytes):
    read_bytes("a.pdf", GOOD, "pdf")
    sandbox.nursery().process.send_signal(signal.SIGKILL)
    sandbox.nursery().process.wait()
    (found,) = read_bytes("a.pdf", GOOD, "pdf")
    assert found.fields or found.damage == "crashed"
    (found,) = read_bytes("a.pdf", GOOD, "pdf")
    assert found.fields["text"] == "Befund"


def test_a_process_that_does_not_start_is_one_clear_error(monkeypatch, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("raise SystemExit(7)")
    real = sandbox.subprocess.Popen
    monkeypatch.setattr(
        sandbox.subprocess,
        "Popen",
        lambda arguments, **settings: real([arguments[0], str(program)], **settings),
    )
    sandbox.end()
    with pytest.raises(InputError, match=r"did not start \(7\)"):
        sandbox.nursery()
