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
    time.sleep(60)

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
    deadline = time.monotonic() + 10
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
time.sleep(60)
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
        assert orphan.wait(10) == 1
