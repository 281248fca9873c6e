"""Each store test runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bedside_inference.config import StateConfig
from bedside_inference.state.store import Store


class Audit:
    """An audit log that remembers, and refuses if a test says so."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, Any]]] = []
        self.full = False

    def __call__(self, action: str, /, **ids: str | int) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.entries.append((action, ids))


@pytest.fixture
def audit() -> Audit:
    return Audit()


@pytest.fixture(scope="session")
def shared_url(postgres: Any) -> str:
    return str(postgres.create_database())


@pytest.fixture(params=["sqlite", "postgresql"])
def state_config(request: pytest.FixtureRequest) -> StateConfig:
    """Where an empty state database is."""
    if request.param == "sqlite":
        return StateConfig(poll_seconds=0.02)
    url = request.getfixturevalue("shared_url")
    # A database of its own for each test would take longer than the tests.
    with psycopg.connect(url) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return StateConfig(url=url, poll_seconds=0.02)


@pytest.fixture
def store(state_config: StateConfig, tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(state_config, tmp_path)
    yield opened
    opened.close()


@dataclass
class Worker:
    """Another process."""

    process: BaseProcess
    said: Connection

    def all_said(self) -> list[Any]:
        """Wait for its end; what it sent and nobody took yet."""
        messages = []
        with suppress(EOFError):
            while True:
                messages.append(self.said.recv())
        self.process.join(60)
        return messages


@pytest.fixture
def fork() -> Iterator[Callable[[Callable[[Connection], None]], Worker]]:
    """Run a function in another process, which gets a pipe to say something; a test may kill it."""
    context = multiprocessing.get_context("fork")
    workers: list[Worker] = []

    def run(work: Callable[[Connection], None]) -> Worker:
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(there,))
        process.start()
        there.close()
        workers.append(Worker(process, here))
        return workers[-1]

    yield run
    for worker in workers:
        worker.process.kill()
        worker.process.join()
        worker.process.close()
        worker.said.close()
