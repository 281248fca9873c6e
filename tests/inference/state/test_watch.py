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

from bedside_core.errors import ArtifactError
from bedside_inference import keys, models
from bedside_inference.config import StateConfig
from bedside_inference.state.errors import StateUnavailable
from bedside_inference.state.records import Scope, State
from bedside_inference.state.store import Store
from bedside_inference.state.watch import Watch

DIGEST = "ab" * 32


async def until(condition: Callable[[], bool], seconds: float = 5) -> float:
    """Wait for something; returns how long it took, in seconds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        await asyncio.sleep(0.005)
    return time.monotonic() - began


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
        took = await until(lambda: watch.state.find(made.secret, datetime.now(UTC)) is None)
    assert took < 1


async def test_a_kill_switch_is_seen_within_a_second(store, audit, state_config) -> None:
    """With the default time between looks."""
    config = state_config.model_copy(update={"poll_seconds": 0.25})
    async with running(store, config) as watch:
        models.stop(store, DIGEST, audit=audit)
        assert await until(lambda: DIGEST in watch.state.stopped) < 1
        models.resume(store, DIGEST, audit=audit)
        assert await until(lambda: DIGEST not in watch.state.stopped) < 1


async def test_each_change_is_told_in_the_event_loop(store, audit, state_config) -> None:
    told: list[tuple[int, bool]] = []

    def hear(state: State) -> None:
        told.append((state.revision, threading.current_thread() is threading.main_thread()))

    watch = Watch(store, state_config, on_change=hear)
    async with watch.running():
        await until(lambda: told == [(0, True)])
        models.stop(store, DIGEST, audit=audit)
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
    watch: Watch, secret: str, begin: Callable[[], None], end: Callable[[], None]
) -> None:
    """The gateway goes on for `stale_seconds`, then stops, and comes back by itself."""
    began = time.monotonic()
    await asyncio.to_thread(begin)
    assert watch.state.find(secret, datetime.now(UTC))
    await until(lambda: unavailable(watch))
    assert time.monotonic() - began > watch._config.stale_seconds - 0.1
    await asyncio.sleep(0.2)
    assert unavailable(watch)
    await asyncio.to_thread(end)
    await until(lambda: not unavailable(watch), 15)
    assert watch.state.find(secret, datetime.now(UTC))


@pytest.mark.parametrize("damage", ["garbage", "overwritten", "gone", "directory"])
async def test_a_file_that_is_away(tmp_path, audit, damage, caplog) -> None:
    path = tmp_path / "gateway" / "state.sqlite3"
    kept = path.with_suffix(".kept")
    config = StateConfig(poll_seconds=0.02, stale_seconds=0.5)

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
            await outage(watch, made.secret, begin, end)
            # And it sees changes again.
            keys.revoke(store, made.id, audit=audit)
            await until(lambda: watch.state.find(made.secret, datetime.now(UTC)) is None)
    events = [record.message for record in caplog.records if "watch" in record.name]
    assert events == ["the state database is away", "the state database is back"]


async def test_a_server_that_is_away(tmp_path, audit, postgres) -> None:
    config = StateConfig(url=postgres.create_database(), poll_seconds=0.02, stale_seconds=0.5)
    with closing(Store.open(config, tmp_path)) as store:
        made = keys.create(store, Scope(), days=1, audit=audit)
        async with running(store, config) as watch:
            await outage(watch, made.secret, postgres.stop, postgres.start)
            keys.revoke(store, made.id, audit=audit)
            await until(lambda: watch.state.find(made.secret, datetime.now(UTC)) is None)


async def test_a_server_that_is_frozen(tmp_path, audit, postgres) -> None:
    """It keeps the connection and never answers; the gateway can still be stopped."""
    url = postgres.create_database()
    config = StateConfig(url=url, poll_seconds=0.02, stale_seconds=0.5)
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
                await outage(watch, made.secret, freeze, thaw)
                freeze()
                await until(lambda: unavailable(watch))
                began = time.monotonic()
            assert time.monotonic() - began < 3
        finally:
            thaw()
            await until(lambda: all(thread.name != "state" for thread in threading.enumerate()))


async def test_a_database_that_hangs_is_stale_too(store, state_config, monkeypatch) -> None:
    config = state_config.model_copy(update={"stale_seconds": 0.2})
    async with running(store, config) as watch:
        monkeypatch.setattr(store, "revision", lambda: time.sleep(0.6) or 0)
        await until(lambda: unavailable(watch), 0.5)


async def test_an_answer_counts_from_when_it_was_asked(store, state_config, monkeypatch) -> None:
    """A slow answer may be older than it looks."""
    config = state_config.model_copy(update={"stale_seconds": 0.2})
    snapshot = store.snapshot
    monkeypatch.setattr(store, "snapshot", lambda: (snapshot(), time.sleep(0.3))[0])
    watch = Watch(store, config)
    async with watch.running():
        assert unavailable(watch)


async def test_a_bug_does_not_end_the_looking(store, audit, state_config, monkeypatch) -> None:
    async with running(store, state_config) as watch:
        with monkeypatch.context() as patched:
            patched.setattr(store, "revision", lambda: 1 / 0)
            await until(lambda: watch._away)
        keys.create(store, Scope(), days=1, audit=audit)
        await until(lambda: watch.state.revision == 1)


async def test_the_end_waits_for_nobody(store, state_config) -> None:
    config = state_config.model_copy(update={"poll_seconds": 5})
    began = time.monotonic()
    async with running(store, config):
        pass
    assert time.monotonic() - began < 2
