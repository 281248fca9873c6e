"""The real stack that `make demo` left in BEDSIDE_HOME, served once for all end-to-end tests."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bedside_core.registry.registry import Registry

ADDRESS = "http://127.0.0.1:8080"
START_SECONDS = 600


class Served(NamedTuple):
    address: str
    key: str


@pytest.fixture(scope="session")
def home() -> Path:
    path = os.environ.get("BEDSIDE_HOME", "bedside-home")
    if not (Path(path) / "log.jsonl").exists():
        pytest.fail("nothing is promoted in BEDSIDE_HOME: run `make demo ARGS=--once` first")
    return Path(path).absolute()


@pytest.fixture(scope="session")
def registry(home: Path) -> Registry:
    return Registry(home)


@pytest.fixture(scope="session")
def environment(home: Path, root: Path) -> dict[str, str]:
    """What the demo's commands run with."""
    return {**os.environ, "BEDSIDE_HOME": str(home), "BEDSIDE_ENVS": str(root / ".venvs")}


@pytest.fixture(scope="session")
def bedside(root: Path, environment: dict[str, str]):
    """Run a verb in its own service's environment, as the demo does."""

    def run(service: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        program = root / ".venvs" / service / "bin" / "bedside"
        return subprocess.run(
            [str(program), *words],
            cwd=root, env={**environment, **more}, capture_output=True, text=True, timeout=900,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def served(root: Path, home: Path, environment: dict[str, str]) -> Iterator[Served]:
    command = [str(root / ".venvs/core/bin/bedside"), "up", "--config", "configs/demo.yaml"]
    up = subprocess.Popen(command, cwd=root, env=environment)
    try:
        _wait(up)
        yield Served(ADDRESS, (home / "demo-key").read_text().strip())
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(60)


def _wait(up: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if up.poll() is not None:
            pytest.fail(f"`bedside up` ended with exit code {up.returncode}")
        try:
            urllib.request.urlopen(f"{ADDRESS}/readyz", timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
        else:
            return
    pytest.fail("the gateway did not become ready")
