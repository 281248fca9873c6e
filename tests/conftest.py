"""Shared by all tests: the opt-in flag for end-to-end tests, limits of time, and the checkout."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from bedside_core.config import sha256_of
from bedside_core.kinds.plan import Look, Plan, PlannedSet
from bedside_core.kinds.policy import Policy
from bedside_core.registry.registry import Registry
from bedside_models.settle import settle

MakeBasis = Callable[..., dict[str, Any]]

# Machines are shared: how long an example takes says nothing about what is tested.
settings.register_profile("bedside", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bedside")

# Byte code is kept, also where PYTHONDONTWRITEBYTECODE is set: without it each process that a test
# starts compiles torch and transformers anew, for ten seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# As each verb does before its first heavy import, whichever test file is imported first.
settle()

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: as many threads per worker as there are cores wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent
STDERR = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--run-e2e", action="store_true", help="run tests/e2e and tests/stack (minutes)"
    )
    parser.addini(
        "grace",
        "seconds that a test has after its timeout until the process is ended",
        default="60",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STDERR] = os.dup(2)  # the real one; during a test its number is a file
    # Began in the background of a script: SIGINT is ignored, and every child would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: a compressor's hold the second in which it ran.

    Workers that collect in different seconds would name a test differently, and none would run.
    """
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """End the process where a test outlives its timeout.

    The timeout raises an exception, once. Code in C does not see it, and a clean-up that waits for
    the same thing hangs again; a thread of C waits for neither.
    """
    _end_later(item)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item) -> None:
    """Set the limit again for the clean-up; pytest takes it away when a test fails."""
    if isinstance(node, pytest.Item):
        _end_later(node)


def _end_later(item: pytest.Item) -> None:
    marker = item.get_closest_marker("timeout")
    limit = float(marker.args[0] if marker else item.config.getini("timeout"))
    limit += float(item.config.getini("grace"))
    faulthandler.dump_traceback_later(limit, exit=True, file=item.config.stash[STDERR])


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


@pytest.fixture(scope="session")
def make_policy() -> Callable[..., Policy]:
    """A policy over a medical and a general held-out set, with changes."""

    def make_policy(**changes: Any) -> Policy:
        content: dict[str, Any] = {
            "name": "test",
            "target": {"of": "medical", "min_gain": 0.0, "max_loss": 0.02},
            "guards": [{"of": "general", "max_loss": 0.05}],
            "tail": {"delta": 0.05, "max_share": 0.2},
            "min_clusters": 14 if changes.get("looks", 1) == 1 else 28,
            "confidence": 0.95,
        }
        return Policy.model_validate(content | changes)

    return make_policy


@pytest.fixture(scope="session")
def make_plan(make_policy: Callable[..., Policy]) -> Callable[..., Plan]:
    """A plan by a policy over sets of 30 clusters each; `texts` tells other sets apart."""

    def make_plan(policy: Policy | None = None, texts: str = "a", **changes: Any) -> Plan:
        policy = make_policy() if policy is None else policy
        sets = {f"heldout/{name}": _planned(f"{texts}{name}") for name in ("medical", "general")}
        content: dict[str, Any] = {
            "run": "demo", "policy": policy, "policy_sha256": policy.sha256, "sets": sets,
            "development": "d" * 64, "shortlist": ("merged",), "base": "b" * 64,
            "reference": None, "setting": {}, "looks": 1, "alpha": policy.alpha, "detectable": (),
        }  # fmt: skip
        return Plan(**content | changes)

    return make_plan


@pytest.fixture(scope="session")
def make_basis(make_policy: Callable[..., Policy], make_plan: Callable[..., Plan]) -> MakeBasis:
    """Approve, plan over texts of its own and look, as a run does before it has evidence.

    Returns what evidence names them by. The incumbent is what is promoted, unless a test says more.
    """

    def make_basis(
        registry: Registry, candidate: str, base: str, *, policy: Policy | None = None, **more: Any
    ) -> dict[str, Any]:
        policy = registry.approve(policy or make_policy(), "for tests").policy
        texts = f"{len(registry.entries())}"
        planned = registry.plan(make_plan(policy, texts, run=f"run{texts}", base=base))
        compared = {"incumbent": registry.incumbent(candidate)} | more
        look = Look(
            plan=planned.hash, number=1, recipe="r", candidate=candidate, base=base, reference=None,
            incumbent=compared["incumbent"],
        )  # fmt: skip
        with registry.log.writing() as log:
            entry = log.add("look", look.model_dump(mode="json"))
        named = {"plan": planned.hash, "look": entry.hash, "policy_sha256": policy.sha256}
        return named | compared

    return make_basis


def _planned(name: str) -> PlannedSet:
    texts = tuple(f"{name}{n:03}".rjust(16, "0") for n in range(45))
    return PlannedSet(
        kind="heldout", sha256=sha256_of(texts), sealed_sha256=sha256_of(texts[:30]),
        development=texts[30:], sealed=texts[:30], clusters=30,
    )  # fmt: skip
