"""A real gateway process that is killed, or asked to stop, under live streams."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bedside_inference.audit.verify import verify

STREAMS = 20
DONE = b"data: [DONE]\n\n"
BODY = {"model": "test", "messages": [{"role": "user", "content": "Hallo"}], "stream": True}


class Process:
    """`bedside inference gateway` and a client of it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, key: str) -> None:
        self.process, self.url = process, f"http://127.0.0.1:{port}"
        self.headers = {"Authorization": f"Bearer {key}"}
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    def chat(self, **changes: object):
        url = f"{self.url}/v1/chat/completions"
        return self.session.post(url, json=BODY | changes, headers=self.headers)

    async def ready(self) -> int:
        """The status of a new connection to `/readyz`; 0 if none is taken."""
        try:
            async with aiohttp.ClientSession() as fresh, fresh.get(f"{self.url}/readyz") as answer:
                return answer.status
        except aiohttp.ClientConnectionError:
            return 0

    async def ended(self) -> tuple[int | None, bytes]:
        """Exit status and what it wrote."""
        _, errors = await asyncio.wait_for(self.process.communicate(), 60)
        return self.process.returncode, errors


@pytest.fixture
def words(config, tmp_path) -> Callable[..., list[str]]:
    """The command line of a verb."""
    path = tmp_path / "config.yaml"
    gateway = {"port": config.gateway.port, "drain_seconds": 60}
    section = {"model_name": "test", "gateway": gateway}
    path.write_text(json.dumps({"name": "test", "inference": section}))
    program = [sys.executable, "-m", "bedside_core.cli", "inference"]
    return lambda *verb: [*program, *verb, "--config", str(path)]


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("BEDSIDE_")}
    return {**mine, "BEDSIDE_HOME": str(home)}


@pytest.fixture
async def start(words, environment, config, key) -> AsyncIterator[Callable[[], Awaitable[Process]]]:
    async with AsyncExitStack() as stack:

        async def starting() -> Process:
            process = await asyncio.create_subprocess_exec(
                *words("gateway"), env=environment, stderr=subprocess.PIPE
            )
            found = Process(process, config.gateway.port, key)
            stack.push_async_callback(found.session.close)
            stack.callback(end, process)
            async with asyncio.timeout(60):
                while await found.ready() != 200:
                    await asyncio.sleep(0.05)
            return found

        yield starting


def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()


@asynccontextmanager
async def streaming(gateway: Process, engine) -> AsyncIterator[list[aiohttp.ClientResponse]]:
    """Twenty streams that have begun."""
    async with AsyncExitStack() as stack:
        answers = await asyncio.gather(
            *(stack.enter_async_context(gateway.chat()) for _ in range(STREAMS))
        )
        first = engine.marked(engine.chunk("a"))
        for answer in answers:
            assert await answer.content.readexactly(len(first)) == first
        yield answers


@pytest.fixture
def slow(engine):
    """An engine whose streams go on until it is told to end them."""
    engine.go_on = asyncio.Event()

    async def wait_then_finish(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("a"))
        await engine.go_on.wait()
        await response.write(DONE)
        return response

    engine.script = wait_then_finish
    return engine


async def test_kill_9_under_live_streams(slow, start, ledger, words, environment) -> None:
    gateway = await start()
    async with streaming(gateway, slow) as answers:
        gateway.process.kill()
        for answer in answers:
            with pytest.raises(aiohttp.ClientError):
                await answer.content.read()
    await gateway.ended()
    await slow.freed()
    asked = [value for headers in slow.headers for name, value in headers.items()
             if name.lower() == "x-request-id"]  # fmt: skip
    assert len(set(asked)) == len(asked) == STREAMS
    again = await start()
    slow.script = type(slow).__dataclass_fields__["script"].default
    async with again.chat(stream=False) as answer:
        assert answer.status == 200
    records = await ledger.take(STREAMS + 1)
    died = [record for record in records if record["outcome"] == "gateway_died"]
    assert Counter(record["request_id"] for record in died) == Counter(asked)
    assert all(record["pseudonym"] and record["started"] for record in died)
    assert records[-1]["outcome"] == "answered"
    # Beside the running gateway.
    checked = await asyncio.create_subprocess_exec(
        *words("audit", "verify"), env=environment, stdout=subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(checked.communicate(), 60)
    assert checked.returncode == 0
    assert b"the audit log is whole" in said
    again.process.terminate()
    status, errors = await again.ended()
    assert status == 0
    assert b"Traceback" not in errors
    assert b"Hallo" not in errors


async def test_sigterm_breaks_no_stream(slow, start, ledger) -> None:
    gateway = await start()
    async with streaming(gateway, slow) as answers:
        gateway.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            while await gateway.ready() == 200:
                await asyncio.sleep(0.02)
        slow.go_on.set()
        assert {await answer.content.read() for answer in answers} == {DONE}
    status, errors = await gateway.ended()
    assert (status, b"Traceback" in errors) == (0, False)
    assert {record["outcome"] for record in await ledger.take(STREAMS)} == {"answered"}
    lines = [
        json.loads(line)
        for segment in sorted(ledger.directory.glob("segment-*.jsonl"))
        for line in segment.read_bytes().splitlines()
    ]
    assert lines[-1]["type"] == "checkpoint"
    assert lines[-1]["of_seq"] == lines[-2]["seq"]
    assert verify(ledger.directory).torn == 0
