"""Progress: JSON lines off a terminal, a bar on one."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import termios

import pytest

from bedside_core import progress
from bedside_core.progress import Progress


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_last_line_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("tokenise", total=80, unit="doc", done=30) as bar:
        for _ in range(50):
            bar.update(1, loss=3.25)
    (line,) = lines(capsys)
    assert line["progress"] == "tokenise"
    assert (line["done"], line["total"], line["unit"], line["loss"]) == (80, 80, "doc", 3.25)
    assert line["eta_seconds"] == 0


def test_lines_at_intervals_without_counting_resumed_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    with Progress("train", total=100, unit="step", done=90) as bar:
        for _ in range(10):
            bar.update()
    found = lines(capsys)
    assert len(found) > 3
    for line in found:
        done, seconds = int(str(line["done"])), float(str(line["seconds"]))
        assert line["rate"] == pytest.approx((done - 90) / seconds, abs=0.01)


def test_more_than_was_foreseen_moves_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    with Progress("examine", total=3, unit="sequence") as bar:
        for _ in range(9):
            bar.update()
    found = lines(capsys)
    assert found[-1]["done"] == found[-1]["total"] == 9
    for line in found:
        assert int(str(line["done"])) <= int(str(line["total"]))
        assert float(str(line["eta_seconds"])) >= 0


def test_nothing_done_has_no_eta_and_an_error_still_tells(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(RuntimeError), Progress("read", total=5, unit="file"):
        raise RuntimeError
    (line,) = lines(capsys)
    assert (line["done"], line["eta_seconds"]) == (0, None)


def test_bar_on_a_terminal() -> None:
    code = (
        "from bedside_core.progress import Progress\n"
        "with Progress('merge', total=3, unit='tensor') as bar:\n"
        "    for _ in range(3): bar.update(1, loss=2.0)\n"
    )
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen([sys.executable, "-c", code], stderr=theirs) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            text += piece
    os.close(ours)
    assert process.returncode == 0
    assert b"merge: 100%" in text
    assert b"loss=2" in text
    assert b'{"progress"' not in text


def test_large_units_are_scaled(monkeypatch) -> None:
    """`7.34M/7.34M`, not `7335028/7335028 ... 1002990.40byte/s`."""
    shown = io.StringIO()
    shown.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", shown)
    with Progress("verify base", total=7_335_028, unit="byte") as bar:
        bar.update(7_335_028)
    last = shown.getvalue().split("\r")[-1]
    assert "7.34M/7.34M" in last
    assert "7335028" not in last
