"""An engine is lent to one connection at a time and ends with it.

The engine here is a program of the test's; the real one is asked in tests/stack/test_stack.py.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bedside_core.errors import ConfigError, InputError
from bedside_core.registry.registry import Registry
from bedside_core.rehearsal import LEASES, rehearsed
from bedside_inference.engine.lending import lend

ENGINE = """
import os, signal, socket, sys, time
from bedside_core import lifeline
lifeline.hold(signal.SIGKILL)
place, model = sys.argv[sys.argv.index("rehearse") + 1:][:2]
if model.startswith("bad"):
    print("vllm says something", flush=True)
    print("bedside: no room for the weights", flush=True)
    sys.exit(3)
if model.startswith("5104"):
    time.sleep(600)
print(os.getpid(), file=open(f"{place}/../pid", "w"), flush=True)
with socket.socket(socket.AF_UNIX) as door:
    door.bind(f"{place}/engine.sock")
    door.listen()
    if model.startswith("dead"):
        door.accept()
        sys.exit(1)
    time.sleep(600)
"""
LENDER = """
import sys
from pathlib import Path
from bedside_core.registry.registry import Registry
from bedside_inference.engine import lending
lending.sys.executable = sys.argv[3]
lending.lend(Path("run.yaml"), [], Registry(Path(sys.argv[1])))
"""


@pytest.fixture
def door(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where engines are lent."""
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\n{ENGINE}")
    program.chmod(0o755)
    path = tmp_path / "exam" / "door.sock"
    monkeypatch.setenv(LEASES, str(path))
    with subprocess.Popen(
        [sys.executable, "-c", LENDER, str(home), "-", str(program)], stdout=subprocess.DEVNULL
    ) as lender:
        until(path.exists)
        yield path
        lender.send_signal(signal.SIGTERM)
        assert lender.wait(60) != 0


def until(true: object, seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < limit
        time.sleep(0.02)


def alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_an_engine_runs_for_as_long_as_the_connection_is_held(door: Path) -> None:
    pids = []
    for model in ("a" * 64, "b" * 64):
        with rehearsed([], model) as path:
            assert path == door.parent / "engine/engine.sock" and path.is_socket()
            pids.append(int((door.parent / "pid").read_text()))
            assert alive(pids[-1])
        until(lambda: not alive(pids[-1]))
    assert len(set(pids)) == 2


def test_a_model_that_cannot_be_served_is_refused_with_its_own_reason(door: Path) -> None:
    with (
        pytest.raises(InputError, match="no room for the weights") as caught,
        rehearsed([], "bad" + "0" * 61),
    ):
        pass
    assert "vllm says" not in str(caught.value)
    with rehearsed([], "a" * 64):  # and the next one is served
        pass


@pytest.mark.parametrize("line", [b"\n", b"[1]\n", b'{"model": "../x"}\n', b"\xff" * 100, b"{"])
def test_what_is_no_request_is_refused(door: Path, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(str(door))
        asked.sendall(line)
        asked.shutdown(socket.SHUT_WR)
        assert "refused" in json.loads(asked.makefile("rb").readline())


def test_who_leaves_while_the_model_loads_leaves_nothing_behind(door: Path) -> None:
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(str(door))
        asked.sendall(b'{"model": "' + b"5104" * 16 + b'"}\n')
        time.sleep(0.3)
    with rehearsed([], "a" * 64):
        pass


def test_an_engine_that_dies_ends_the_lease(door: Path) -> None:
    with socket.socket(socket.AF_UNIX) as asked, asked.makefile("rb") as lines:
        asked.connect(str(door))
        asked.sendall(b'{"model": "' + b"dead" * 16 + b'"}\n')
        asked.settimeout(60)
        assert b"engine.sock" in lines.readline()  # it ends at the first look whether it listens
        assert lines.readline() == b""


def test_without_a_private_socket_nothing_is_lent(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(LEASES, raising=False)
    with pytest.raises(ConfigError, match=f"{LEASES} is not set"):
        lend(tmp_path / "run.yaml", [], Registry(home))
    tmp_path.chmod(0o755)
    monkeypatch.setenv(LEASES, str(tmp_path / "door.sock"))
    monkeypatch.setattr("bedside_core.lifeline.hold", lambda _: None)
    with pytest.raises(ConfigError, match="lets others reach"):
        lend(tmp_path / "run.yaml", [], Registry(home))


def test_an_engine_that_is_named_and_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LEASES, str(tmp_path / "none.sock"))
    monkeypatch.setattr("bedside_core.rehearsal.LENDER_SECONDS", 0)
    with pytest.raises(InputError, match="does not answer"), rehearsed([], "a" * 64):
        pass
    assert os.environ[LEASES]


def test_a_container_that_lends_may_begin_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "late.sock"
    monkeypatch.setenv(LEASES, str(path))

    def begin() -> None:
        time.sleep(0.5)
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(path))
            door.listen()
            lessee, _ = door.accept()
            with lessee:
                lessee.sendall(b'{"socket": "engine/engine.sock"}\n')

    lender = threading.Thread(target=begin)
    lender.start()
    with rehearsed([], "a" * 64) as found:
        assert found == tmp_path / "engine/engine.sock"
    lender.join()
