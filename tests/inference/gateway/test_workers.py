"""Several workers: one port, one audit chain, one set of numbers and rates; killed in every way."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from mock_engine import DIGEST

from bedside_inference import aliases, keys
from bedside_inference.audit.verify import verify
from bedside_inference.config import StateConfig
from bedside_inference.keys import NewKey
from bedside_inference.state.records import Scope
from bedside_inference.state.store import Store

MOCK_ENGINE = str(Path(__file__).parents[3] / "bench" / "mock_engine.py")
WORKERS = 3
START_SECONDS = 60
CHAT = "/v1/chat/completions"


def unrecorded(action: str, /, **ids: str | int) -> None:
    """In the place of the audit."""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def stopped(pid: int) -> bool:
    """All its threads."""
    states = [(task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return all(state.rpartition(")")[2].split()[0] == "T" for state in states)


def until(true: Any, seconds: float = START_SECONDS) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@dataclass
class House:
    """A gateway of several workers in front of a mock engine."""

    home: Path
    port: int
    gateway: subprocess.Popen[str] | None = None
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def audit(self) -> Path:
        return self.home / "gateway" / "audit"

    def start(self, verb: str, *more: str) -> subprocess.Popen[str]:
        """A process of the command line."""
        names = ("BEDSIDE_", "OTEL_", "PROMETHEUS_")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(names)}
        verbs = [sys.executable, "-m", "bedside_core.cli", "inference", verb]
        command = [sys.executable, MOCK_ENGINE] if verb == "mock-engine" else verbs
        with (self.home / f"{verb}.log").open("a") as log:
            process = subprocess.Popen(
                [*command, "--config", str(self.home / "config.yaml"), *more],
                env={**environment, "BEDSIDE_HOME": str(self.home)},
                stdout=subprocess.DEVNULL,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def ready(self, *more: str) -> subprocess.Popen[str]:
        """The gateway, started if need be, with all its workers."""
        if self.gateway is None:
            self.gateway = self.start("gateway", *more)
            until(lambda: len(self.workers()) == WORKERS)
            until(lambda: self.serving() == WORKERS)
        return self.gateway

    def serving(self) -> int:
        """Workers that have looked at the engine, which ends their start."""
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as page:
            said = re.search(r'condition\{condition="ready",.*\} (\S+)', page.read().decode())
            return int(float(said[1])) if said else 0
        return 0

    def workers(self) -> dict[int, str]:
        """The workers that serve: process ids, and what the audit calls each."""
        assert self.gateway is not None
        assert self.gateway.poll() is None, (self.home / "gateway.log").read_text()
        pid = self.gateway.pid
        found = {}
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(OSError):
                for handle in Path(f"/proc/{child}/fd").iterdir():
                    with suppress(OSError):
                        target = handle.readlink()
                        if target.parent == self.audit / "workers":
                            found[int(child)] = target.name
        return found

    def ended(self) -> int:
        """Wait for the gateway's end; returns its exit status."""
        assert self.gateway is not None
        status = self.gateway.wait(90)
        self.gateway = None
        return status

    @contextmanager
    def store(self) -> Iterator[Store]:
        with closing(Store.open(StateConfig(), self.home)) as found:
            yield found

    def key(self, **scope: Any) -> NewKey:
        """A new key, which by now most workers know; `pinned` waits for all."""
        with self.store() as store:
            made = keys.create(store, Scope(**scope), days=1, audit=unrecorded)
        time.sleep(0.6)
        return made

    def entries(self) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for file in sorted(self.audit.glob("*.jsonl"))
            for line in file.read_bytes().splitlines(keepends=True)
            if line.endswith(b"\n")
        ]

    def workers_of(self, request_ids: list[str]) -> list[str]:
        """Which worker took each request."""
        begun = {e["request_id"]: e["worker"] for e in self.entries() if e["type"] == "begin"}
        return [begun[request_id] for request_id in request_ids]

    @asynccontextmanager
    async def pinned(self, made: NewKey):
        """A client for each worker, which holds a connection to that one."""
        async with AsyncExitStack() as stack:
            pids = list(self.workers())
            clients = {pid: await stack.enter_async_context(self.client(made)) for pid in pids}

            async def ask(pid: int) -> int:
                others = [other for other in pids if other != pid]
                with (self.audit / "head").open("rb") as chain:
                    fcntl.flock(chain, fcntl.LOCK_EX)  # nobody is stopped while it holds that
                    for other in others:
                        os.kill(other, signal.SIGSTOP)
                    until(lambda: all(stopped(other) for other in others))
                try:
                    async with clients[pid].get("/v1/models") as answer:
                        await answer.read()
                        return answer.status
                finally:
                    for other in others:
                        os.kill(other, signal.SIGCONT)

            for pid in pids:
                await answered(partial(ask, pid), 200)
            yield clients

    def client(self, made: NewKey) -> aiohttp.ClientSession:
        """With one connection."""
        return aiohttp.ClientSession(
            self.url,
            connector=aiohttp.TCPConnector(limit=1),
            headers={"Authorization": f"Bearer {made.secret}"},
            timeout=aiohttp.ClientTimeout(total=60),
        )


@pytest.fixture(scope="module")
def house(postgres) -> Iterator[House]:
    home = Path(tempfile.mkdtemp(prefix="bedside-", dir="/tmp"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = House(home, free.getsockname()[1])
    gateway = {"port": found.port, "workers": WORKERS, "drain_seconds": 60}
    section = {"model_name": "test", "gateway": gateway, "limits": {"url": postgres.url}}
    document = {"name": "test", "inference": section}
    (home / "config.yaml").write_text(json.dumps(document))
    found.start("mock-engine")
    try:
        until((home / "run" / "engine.sock").exists)
        yield found
    finally:
        for process in found.started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(home)


@pytest.fixture
def running(house) -> House:
    house.ready()
    return house


def chat(client: aiohttp.ClientSession, **changes: Any) -> Any:
    """About 10 ms per token."""
    body = {"model": "test", "messages": [{"role": "user", "content": "Hallo"}], "max_tokens": 1}
    return client.post(CHAT, json={**body, **changes})


async def status_of(client: aiohttp.ClientSession, sent: list[str] | None = None) -> int:
    """Of a short chat, read to its end so that the connection stays; notes the request's id."""
    async with chat(client) as answer:
        await answer.read()
        if sent is not None:
            sent.append(answer.headers["X-Request-Id"])
        return answer.status


async def answered(ask: Callable[[], Awaitable[int]], wanted: int) -> None:
    """Ask until the status is this one: each worker learns of a change by itself."""
    async with asyncio.timeout(30):
        while await ask() != wanted:
            await asyncio.sleep(0.05)


async def shows(client: aiohttp.ClientSession, **wanted: float) -> dict[str, float]:
    """Wait for these numbers: requests count after their answer, the rest once in a second."""
    async with asyncio.timeout(30):
        while True:
            page = await numbers(client)
            if all(page.get(f"bedside_gateway_{name}") == value for name, value in wanted.items()):
                return page
            await asyncio.sleep(0.1)


async def settled(client: aiohttp.ClientSession, *names: str) -> dict[str, float]:
    """These numbers once they stand still: other workers' requests count up to a second later."""
    found: dict[str, float] | None = None
    async with asyncio.timeout(30):
        while True:
            page = await numbers(client)
            before, found = found, {n: page.get(f"bedside_gateway_{n}", 0) for n in names}
            if found == before:
                return found
            await asyncio.sleep(3)


async def begun(answer: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    """A stream whose first event has come."""
    assert answer.status == 200, await answer.text()
    assert await answer.content.readany()
    return answer


async def numbers(client: aiohttp.ClientSession) -> dict[str, float]:
    async with client.get("/metrics") as answer:
        assert answer.status == 200
        page = await answer.text()
    return {
        name: float(value)
        for name, value in re.findall(r"^(bedside_\S+) (\S+)$", page, re.MULTILINE)
    }


def port_is_free(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0


async def test_all_answer_and_write_one_chain(running) -> None:
    made = running.key()
    sent = []
    before = Counter(entry["type"] for entry in running.entries())
    async with running.pinned(made) as clients:

        async def some(client: aiohttp.ClientSession) -> None:
            for _ in range(10):
                assert await status_of(client, sent) == 200

        await asyncio.gather(*(some(client) for client in clients.values()))
    assert Counter(running.workers_of(sent)) == dict.fromkeys(running.workers().values(), 10)

    def recorded() -> Counter[str]:
        return Counter(e["request_id"] for e in running.entries() if e["type"] == "request")

    # A client has its answer before the record of it is written.
    await asyncio.to_thread(until, lambda: set(sent) <= set(recorded()))
    assert all(recorded()[request_id] == 1 for request_id in sent)
    report = verify(running.audit)
    assert report.entries["begin"] - before["begin"] == 30
    # And those that `pinned` sent, until each worker knew the key.
    assert report.entries["request"] - before["request"] >= 30 + WORKERS


async def test_metrics_add_up(running) -> None:
    series = f'requests_total{{route="{CHAT}",status="200"}}'
    waited = f'request_duration_seconds_count{{route="{CHAT}"}}'
    made = running.key()
    async with running.pinned(made) as clients:
        [first, *_] = clients.values()
        counted = {n: value + 15 for n, value in (await settled(first, series, waited)).items()}
        for client in clients.values():
            for _ in range(5):
                assert await status_of(client) == 200
        ready = f'{{condition="ready",engine="{running.home / "run" / "engine.sock"}"}}'
        for client in clients.values():
            page = await shows(
                client,
                **counted,
                **{f"engine_condition{ready}": WORKERS},
                requests_in_flight=1,  # this very one
            )
            assert not any("pid=" in name for name in page)
        async with AsyncExitStack() as stack:
            for client in clients.values():
                asked = chat(client, stream=True, max_tokens=4000)
                await begun(await stack.enter_async_context(asked))
            async with running.client(made) as other:
                await shows(other, streams=WORKERS, running=WORKERS)


async def test_a_rate_is_one_for_all(running) -> None:
    made = running.key(requests_per_minute=20)
    began = time.monotonic()
    async with running.pinned(made) as clients, AsyncExitStack() as stack:
        many = [await stack.enter_async_context(running.client(made)) for _ in range(30)]
        asked = (status_of(client) for client in (*many, *clients.values(), *clients.values()))
        statuses = Counter(await asyncio.gather(*asked))
        for client in clients.values():
            statuses[await status_of(client)] += 1
    assert set(statuses) == {200, 429}
    assert 20 <= statuses[200] <= 20 + (time.monotonic() - began) / 3


async def test_a_killed_worker_is_replaced_and_its_requests_are_recorded(running) -> None:
    made = running.key()
    async with running.pinned(made) as clients, AsyncExitStack() as stack:
        streams = {}
        for pid, client in clients.items():
            asked = chat(client, stream=True, max_tokens=4000)
            streams[pid] = await begun(await stack.enter_async_context(asked))
        async with running.client(made) as client:
            await shows(client, streams=WORKERS)
        victim, *others = streams
        identity = running.workers()[victim]
        lost = streams.pop(victim)
        before = [e["request_id"] for e in running.entries() if e.get("outcome") == "gateway_died"]
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(aiohttp.ClientError):
            while await lost.content.readany():
                pass
            raise aiohttp.ClientPayloadError  # a chunked answer that ends without its end
        # The others go on.
        for stream in streams.values():
            assert await stream.content.readany()

        def replaced() -> bool:
            now = running.workers()
            return len(now) == WORKERS and victim not in now and set(others) < set(now)

        await asyncio.to_thread(until, replaced)
        async with running.client(made) as client:
            # And this one is in flight.
            page = await shows(client, streams=WORKERS - 1, requests_in_flight=WORKERS)

        def buried() -> bool:
            return not (running.audit / "workers" / identity).exists()

        await asyncio.to_thread(until, buried)
        died = [e["request_id"] for e in running.entries() if e.get("outcome") == "gateway_died"]
        assert died == [*before, lost.headers["X-Request-Id"]]
        for stream in streams.values():
            stream.close()
    entries = running.entries()
    once = Counter(e["request_id"] for e in entries if e["type"] == "request")
    assert set(once.values()) == {1}
    verify(running.audit)
    async with running.pinned(made) as clients:  # the new one answers too
        for client in clients.values():
            assert await status_of(client) == 200
            # Nothing that was counted is lost with the process.
            series = f'bedside_gateway_requests_total{{route="{CHAT}",status="200"}}'
            assert (await numbers(client))[series] >= page.get(series, 0)


async def test_a_worker_that_cannot_begin_leaves_the_others_alone(running) -> None:
    made = running.key()
    database = running.home / "gateway" / "state.sqlite3"
    aside = database.with_suffix(".aside")
    log = running.home / "gateway.log"
    begins = log.stat().st_size

    def failures() -> int:
        return log.read_text()[begins:].count('"worker replaced"')

    async with running.pinned(made) as clients:
        victim, *others = clients
        database.rename(aside)
        os.kill(victim, signal.SIGKILL)
        # The one that died, and the one that came for it and found no database.
        await asyncio.to_thread(until, lambda: failures() >= 2)
        assert set(running.workers()) >= set(others)
        aside.rename(database)
        for pid in others:
            await answered(partial(status_of, clients[pid]), 200)
    await asyncio.to_thread(until, lambda: len(running.workers()) == WORKERS)
    await asyncio.to_thread(until, lambda: running.serving() == WORKERS)


async def test_revocation_and_kill_switch_reach_all(running) -> None:
    made, other = running.key(), running.key()
    async with running.pinned(other) as clients, running.pinned(made) as revoked:
        for client in revoked.values():
            assert await status_of(client) == 200
        async with AsyncExitStack() as stack:
            asked = [chat(client, stream=True, max_tokens=4000) for client in revoked.values()]
            streams = [await begun(await stack.enter_async_context(one)) for one in asked]
            with running.store() as store:
                keys.revoke(store, made.id, audit=unrecorded)
            async with asyncio.timeout(10):  # ten times what is promised
                for stream in streams:
                    rest = await stream.content.read()
                    assert b'"key_revoked"' in rest
                    assert b"[DONE]" not in rest

        def recorded() -> int:
            return [entry.get("outcome") for entry in running.entries()].count("key_revoked")

        await asyncio.to_thread(until, lambda: recorded() == WORKERS)
        for client in revoked.values():
            await answered(partial(status_of, client), 401)
        async with AsyncExitStack() as stack:
            streams = [
                await begun(
                    await stack.enter_async_context(chat(client, stream=True, max_tokens=4000))
                )
                for client in clients.values()
            ]
            with running.store() as store:
                aliases.stop(store, DIGEST, audit=unrecorded)
            for stream in streams:  # each would go on for half a minute
                rest = await stream.content.read()
                assert b'"model_stopped"' in rest
                assert b"[DONE]" not in rest
        for client in clients.values():
            assert await status_of(client) == 503
        with running.store() as store:
            aliases.resume(store, DIGEST, audit=unrecorded)
        for client in clients.values():
            await answered(partial(status_of, client), 200)


async def asked_anew(running: House) -> None:
    """Ask on new connections; once one is told that the gateway ends, all are."""
    told = False
    async with aiohttp.ClientSession(running.url) as client:
        while True:
            async with client.get("/readyz", headers={"Connection": "close"}) as answer:
                told = told or answer.status == 503
                assert answer.status == (503 if told else 200)
            await asyncio.sleep(0.05)


async def test_sigterm_lets_every_worker_finish(running) -> None:
    made = running.key()
    pids = list(running.workers())
    async with running.pinned(made) as clients, AsyncExitStack() as stack:
        streams = [
            await begun(await stack.enter_async_context(chat(client, stream=True, max_tokens=600)))
            for client in clients.values()
        ]
        running.gateway.terminate()
        told = asyncio.create_task(asked_anew(running))
        for stream in streams:
            assert (await stream.content.read()).endswith(b"data: [DONE]\n\n")
        assert not told.done()  # nobody was refused a connection meanwhile
        with pytest.raises(aiohttp.ClientConnectionError):
            await told
    assert await asyncio.to_thread(running.ended) == 0
    assert not any(alive(pid) for pid in pids)
    assert port_is_free(running.port)
    assert not list((running.audit / "workers").iterdir())
    assert "Traceback" not in (running.home / "gateway.log").read_text()
    verify(running.audit)


async def test_without_its_parent_no_worker_stays(house) -> None:
    running = house
    running.ready("--set", "inference.gateway.drain_seconds=3")
    made = running.key()
    pids = list(running.workers())
    async with running.pinned(made) as clients:
        [client, *_] = clients.values()
        async with chat(client, stream=True, max_tokens=4000) as answer:
            await begun(answer)
            running.gateway.kill()
            assert running.ended() == -signal.SIGKILL
            # One waits for its answer as long as it may, the others go at once.
            await asyncio.to_thread(until, lambda: not any(alive(pid) for pid in pids))
    assert port_is_free(running.port)
    recorded = Counter(e["request_id"] for e in running.entries() if e["type"] == "request")
    assert set(recorded.values()) == {1}
    verify(running.audit)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("inference.limits.url=null", "each would count rates for itself"),
        ("inference.engine.url=http://engine:8000", "BEDSIDE_SECRETS is not set"),
        ("inference.gateway.exemplars=true", "exemplars need workers to be 1"),
    ],
)
def test_what_no_worker_could_do_is_told_at_once(house, change, says) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = house.home / "gateway.log"
    before = log.stat().st_size if log.exists() else 0
    process = house.start("gateway", "--set", f"inference.gateway.port={port}", "--set", change)
    assert process.wait(60) == 2
    said = log.read_text()[before:]
    assert says in said
    assert "Traceback" not in said
