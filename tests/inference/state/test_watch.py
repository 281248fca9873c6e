"""What a gateway knows is never older than it admits, and comes back with the database."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime

import psycopg
import pytest
from pydantic import ValidationError

from bedside_core.errors import ArtifactError
from bedside_inference import aliases, keys
from bedside_inference.config import StateConfig
from bedside_inference.state import watch as watching
from bedside_inference.state.errors import StateUnavailable
from bedside_inference.state.records import Scope, State
from bedside_inference.state.store import Store
from bedside_inference.state.watch import Watch

DIGEST = "ab" * 32
STALE_SECONDS = 120


class Clock:
    """The watch's clock, which a test may put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(watching, "monotonic", found)
    return found


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def looking() -> bool:
    """Whether a watch's thread is there."""
    return any(thread.name == "state" for thread in threading.enumerate())


def patient(url: str | None = None) -> StateConfig:
    """Looks often; what it knows stays good for longer than a slow machine stands still."""
    config = StateConfig(url=url, poll_seconds=0.02)
    return config.model_copy(update={"stale_seconds": STALE_SECONDS})


def unavailable(watch: Watch) -> bool:
    try:
        watch.state  # noqa: B018 - it raises
    except StateUnavailable:
        return True
    return False


@asynccontextmanager
async def running(store: Store, config) -> AsyncIterator[Watch]:
    watch = Watch(store, config)
    async with watch.running():
        yield watch


async def test_nothing_is_known_before_the_first_look(store, state_config) -> None:
    watch = Watch(store, state_config)
    with pytest.raises(ArtifactError, match="does not answer"):
        watch.state  # noqa: B018 - it raises
    async with watch.running():
        assert watch.state.revision == 0


async def test_a_revocation_is_seen(store, audit, state_config, tmp_path) -> None:
    made = keys.create(store, Scope(), days=1, audit=audit)
    async with running(store, state_config) as watch:
        assert watch.state.find(made.secret, datetime.now(UTC))
        with closing(Store.open(state_config, tmp_path)) as elsewhere:
            keys.revoke(elsewhere, made.id, audit=audit)
        await until(lambda: watch.state.find(made.secret, datetime.now(UTC)) is None)


async def test_a_kill_switch_is_seen_by_the_next_look(store, audit, state_config) -> None:
    """No configuration makes looks rarer than two in a second."""
    with pytest.raises(ValidationError):
        StateConfig(poll_seconds=0.51)
    async with running(store, StateConfig(url=state_config.url)) as watch:
        aliases.stop(store, DIGEST, audit=audit)
        await until(lambda: DIGEST in watch.state.stopped)
    aliases.resume(store, DIGEST, audit=audit)
    watch._look()
    assert DIGEST not in watch.state.stopped


async def test_each_change_is_told_in_the_event_loop(store, audit, state_config) -> None:
    told: list[tuple[int, bool]] = []

    def hear(state: State) -> None:
        told.append((state.revision, threading.current_thread() is threading.main_thread()))

    watch = Watch(store, state_config)
    watch.on_change = hear
    async with watch.running():
        await until(lambda: told == [(0, True)])
        aliases.stop(store, DIGEST, audit=audit)
        await until(lambda: told == [(0, True), (1, True)])
        await asyncio.sleep(0.1)
    assert len(told) == 2


async def test_an_unchanged_database_is_not_read_again(store, state_config, monkeypatch) -> None:
    async with running(store, state_config) as watch:
        before = watch.state
        monkeypatch.setattr(store, "snapshot", pytest.fail)
        polls = []
        revision = store.revision
        monkeypatch.setattr(store, "revision", lambda: polls.append(1) or revision())
        await until(lambda: len(polls) > 3)
        assert watch.state is before


async def outage(
    watch: Watch, clock: Clock, secret: str, begin: Callable[[], None], end: Callable[[], None]
) -> None:
    """The gateway goes on for `stale_seconds`, then stops, and comes back by itself."""
    await asyncio.to_thread(begin)
    clock.ahead += STALE_SECONDS - 60
    assert watch.state.find(secret, datetime.now(UTC))
    clock.ahead += 60
    assert unavailable(watch)
    await asyncio.sleep(0.2)
    assert unavailable(watch)
    await asyncio.to_thread(end)
    await until(lambda: not unavailable(watch))
    assert watch.state.find(secret, datetime.now(UTC))


async def test_another_database_with_the_same_revision(tmp_path, audit, caplog) -> None:
    """A copy that was restored during an outage, in which as much has changed since."""
    path, other = tmp_path / "gateway" / "state.sqlite3", tmp_path / "other"
    config, restored = patient(), other / "gateway" / "state.sqlite3"
    with closing(Store.open(config, tmp_path)) as store:
        made = keys.create(store, Scope(), days=1, audit=audit)
        restored.parent.mkdir(parents=True)
        restored.write_bytes(path.read_bytes())
        keys.create(store, Scope(), days=1, audit=audit)
        with closing(Store.open(config, other)) as copy:
            keys.revoke(copy, made.id, audit=audit)
            assert copy.revision() == store.revision()
        async with running(store, config) as watch:
            assert watch.state.find(made.secret, datetime.now(UTC))
            path.rename(path.with_suffix(".gone"))
            await until(lambda: "the state database is away" in caplog.messages)
            restored.rename(path)
            await until(lambda: watch.state.find(made.secret, datetime.now(UTC)) is None)


@pytest.mark.parametrize("damage", ["garbage", "overwritten", "gone", "directory"])
async def test_a_file_that_is_away(tmp_path, audit, damage, clock, caplog) -> None:
    path = tmp_path / "gateway" / "state.sqlite3"
    kept = path.with_suffix(".kept")
    config = patient()

    def begin() -> None:
        kept.write_bytes(path.read_bytes())
        if damage == "overwritten":
            path.write_bytes(b"\xff" * 50000)
            return
        path.rename(path.with_suffix(".gone"))
        if damage == "garbage":
            path.write_bytes(b"\xff" * 50000)
        elif damage == "directory":
            path.mkdir()

    def end() -> None:
        if path.is_dir():
            path.rmdir()
        os.replace(kept, path)  # noqa: PTH105 - a directory is no target of this test's rename

    with closing(Store.open(config, tmp_path)) as store:
        made = keys.create(store, Scope(), days=1, audit=audit)
        caplog.set_level(logging.INFO)
        async with running(store, config) as watch:
            await outage(watch, clock, made.secret, begin, end)
            # And it sees changes again.
            keys.revoke(store, made.id, audit=audit)
            await until(lambda: watch.state.find(made.secret, datetime.now(UTC)) is None)
    events = [record.message for record in caplog.records if "watch" in record.name]
    assert events == ["the state database is away", "the state database is back"]


async def test_a_server_that_is_away(tmp_path, audit, postgres, clock) -> None:
    config = patient(postgres.create_database())
    with closing(Store.open(config, tmp_path)) as store:
        made = keys.create(store, Scope(), days=1, audit=audit)
        async with running(store, config) as watch:
            await outage(watch, clock, made.secret, postgres.stop, postgres.start)
            keys.revoke(store, made.id, audit=audit)
            await until(lambda: watch.state.find(made.secret, datetime.now(UTC)) is None)


async def test_a_server_that_is_frozen(tmp_path, audit, postgres, clock, monkeypatch) -> None:
    """It keeps the connection and never answers; the gateway can still be stopped."""
    url = postgres.create_database()
    config = patient(url)
    with closing(Store.open(config, tmp_path)) as store, psycopg.connect(url) as other:
        made = keys.create(store, Scope(), days=1, audit=audit)
        found = other.execute(
            "SELECT pid FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        backends = [pid for (pid,) in found]

        def signal_backends(number: int) -> None:
            for pid in backends:
                os.kill(pid, number)

        def freeze() -> None:
            signal_backends(signal.SIGSTOP)

        def thaw() -> None:
            signal_backends(signal.SIGCONT)

        try:
            async with running(store, config) as watch:
                await outage(watch, clock, made.secret, freeze, thaw)
                begun: list[int] = []
                revision = store.revision
                monkeypatch.setattr(store, "revision", lambda: begun.append(1) or revision())
                freeze()
                begun.clear()
                await until(lambda: bool(begun))
            assert looking()  # still, and yet the block has ended
        finally:
            thaw()
            await until(lambda: not looking())


async def test_a_database_that_hangs_is_stale_too(store, state_config, clock, monkeypatch) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hang() -> int:
        asked.set()
        go_on.wait(60)
        return 0

    async with running(store, state_config) as watch:
        monkeypatch.setattr(store, "revision", hang)
        await until(asked.is_set)
        assert not unavailable(watch)
        clock.ahead = state_config.stale_seconds
        assert unavailable(watch)
        go_on.set()


async def test_an_answer_counts_from_when_it_was_asked(
    store, state_config, clock, monkeypatch
) -> None:
    """A slow answer may be older than it looks."""
    config = state_config.model_copy(update={"poll_seconds": 3600})  # one look only
    snapshot = store.snapshot

    def slow() -> State:
        clock.ahead += config.stale_seconds
        return snapshot()

    monkeypatch.setattr(store, "snapshot", slow)
    async with running(store, config) as watch:
        assert unavailable(watch)


async def test_a_bug_does_not_end_the_looking(store, audit, state_config, monkeypatch) -> None:
    async with running(store, state_config) as watch:
        with monkeypatch.context() as patched:
            patched.setattr(store, "revision", lambda: 1 / 0)
            await until(lambda: watch.looking.failing)
        keys.create(store, Scope(), days=1, audit=audit)
        await until(lambda: watch.state.revision == 1)


async def test_the_end_waits_for_nobody(store, state_config) -> None:
    config = state_config.model_copy(update={"poll_seconds": 3600})
    async with asyncio.timeout(60), running(store, config):
        pass
    await until(lambda: not looking())
