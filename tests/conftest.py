"""Shared by all tests: the opt-in flag for end-to-end tests, and the shared-data folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Machines are shared: how long an example takes says nothing about what is tested.
settings.register_profile("bedside", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bedside")

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--run-e2e", action="store_true", help="run tests/e2e and tests/stack (minutes)"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--run-e2e"):
        return
    for item in items:
        if {"e2e", "stack"} & set(item.path.relative_to(ROOT).parts):
            item.add_marker(pytest.mark.skip(reason="needs --run-e2e"))


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """The command line, called within a test, configures logging for the whole process."""
    root, factory = logging.getLogger(), logging.getLogRecordFactory()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.setLogRecordFactory(factory)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT
