"""No process of the tree outlives its root, however the root dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from bedside_core.lifeline import PARENT

# A root whose spawned child, and the child's child, import the root's module as vLLM's do.
TREE = """
import multiprocessing, os, signal, sys, time
from bedside_core import lifeline
lifeline.hold(signal.SIGKILL)

def live(depth):
    print(os.getpid(), flush=True)
    if depth:
        grow(depth - 1)
    time.sleep(600)

def grow(depth):
    multiprocessing.get_context("spawn").Process(target=live, args=(depth,)).start()

if __name__ == "__main__":
    live(2)
"""


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def start(tmp_path, **variables: str) -> subprocess.Popen[str]:
    path = tmp_path / "tree.py"
    path.write_text(TREE)
    environment = {k: v for k, v in os.environ.items() if k != PARENT} | variables
    return subprocess.Popen(
        [sys.executable, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_descendants_die_with_the_root(tmp_path, how) -> None:
    with start(tmp_path) as root:
        assert root.stdout is not None
        pids = [int(root.stdout.readline()) for _ in range(3)]
        assert pids[0] == root.pid
        assert all(alive(pid) for pid in pids)
        root.send_signal(how)
        assert gone(pids)


def test_the_root_dies_with_its_parent(tmp_path) -> None:
    middle = """
import os, subprocess, sys, time
from bedside_core.lifeline import PARENT
subprocess.Popen([sys.executable, sys.argv[1]], env={**os.environ, PARENT: str(os.getpid())})
time.sleep(600)
"""
    path = tmp_path / "tree.py"
    path.write_text(TREE)
    with subprocess.Popen(
        [sys.executable, "-c", middle, str(path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(parent.stdout.readline()) for _ in range(3)]
        parent.kill()
        assert gone(pids)


def test_a_parent_that_is_already_dead(tmp_path) -> None:
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    with start(tmp_path, **{PARENT: str(finished.pid)}) as orphan:
        assert orphan.wait(60) == 1


CALLER = """
import sys
from bedside_core import lifeline
try:
    code = lifeline.call([sys.executable, "-c", sys.argv[1]])
except KeyboardInterrupt:
    code = "interrupted"
print("caller", code, flush=True)
"""
CHILD = """
import os, signal, sys, time
from bedside_core import lifeline
lifeline.hold(signal.SIGTERM)
received = []
signal.signal(signal.SIGTERM, lambda *_: received.append(1))
print(os.getpid(), flush=True)
while not received:
    time.sleep(0.01)
time.sleep(0.5)
print("child saved,", len(received), "signal", flush=True)
"""


def test_ctrl_c_is_passed_on_once_and_the_child_may_finish() -> None:
    command = [sys.executable, "-c", CALLER, CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        caller.stdout.readline()
        caller.send_signal(signal.SIGINT)
        assert caller.stdout.read().splitlines() == ["child saved, 1 signal", "caller interrupted"]


def test_a_called_child_is_told_when_its_caller_is_killed() -> None:
    command = [sys.executable, "-c", CALLER, CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        pid = int(caller.stdout.readline())
        caller.kill()
        assert caller.stdout.read().splitlines() == ["child saved, 1 signal"]
    assert gone([pid])


def test_the_exit_code_of_a_called_child_is_returned() -> None:
    command = [sys.executable, "-c", CALLER, "raise SystemExit(5)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "caller 5\n"
