"""The run of the tests itself: nothing makes it hang, wherever it was started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

AGAIN_IN_THE_CLEAN_UP = """
import subprocess
def test():
    with subprocess.Popen(["sleep", "600"]) as child:  # its end waits again
        child.wait()
"""
IN_C = """
import itertools
def test():
    max(itertools.repeat(0))  # looks for no signal and keeps the interpreter's lock
"""
AFTER_A_FAILURE = """
import pytest, time
@pytest.fixture
def slow():
    yield
    try:
        time.sleep(600)
    except BaseException:
        time.sleep(600)
def test(slow):
    raise ValueError
"""
PATIENT = """
import time
def test_hangs():
    time.sleep(600)
def test_goes_on():
    pass
"""


def run(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run one file of tests with this project's settings, and limits of a second."""
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copy(ROOT / "tests/conftest.py", folder / "tests")
    (folder / "tests/test_it.py").write_text(text)
    limits = ("-o", "timeout=1", "-o", "grace=1", "-p", "no:schemathesis")
    command = [sys.executable, "-m", "pytest", *limits, *options]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    "text", [AGAIN_IN_THE_CLEAN_UP, IN_C, AFTER_A_FAILURE], ids=["again", "in C", "clean-up"]
)
def test_a_test_that_nothing_ends_ends_the_run(tmp_path: Path, text: str) -> None:
    done = run(tmp_path, text)
    assert done.returncode == 1
    assert "test_it.py" in done.stderr  # where it hung


def test_a_test_that_hangs_fails_alone(tmp_path: Path) -> None:
    done = run(tmp_path, PATIENT)
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout


def test_ctrl_c_is_heard_by_children_of_a_run_in_the_background() -> None:
    name = "tests/core/test_lifeline.py::test_ctrl_c_is_passed_on_once_and_the_child_may_finish"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:schemathesis", name],
        cwd=ROOT, env={**os.environ, "PYTEST_ADDOPTS": ""}, capture_output=True, text=True,
        timeout=120, check=False, preexec_fn=ignore_sigint,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def ignore_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
