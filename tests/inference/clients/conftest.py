"""Clients that others wrote, and an engine that answers them with what vLLM would.

They come from their registries, pinned and hash-locked, into environments of their own that
`make clients` makes. Without those their tests are skipped, with BEDSIDE_REQUIRE_CLIENTS=1 they
fail.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

RECORDED = {
    recorded["name"]: recorded
    for recorded in json.loads(
        (Path(__file__).parents[1] / "gateway" / "api" / "engine_answers.json").read_text()
    )
}
ROOT = Path(__file__).parents[3]


def installed(program: Path) -> Path:
    """A client's program, if it is there."""
    if not program.exists():
        missing = f"{program.name} of {program.parent} is not installed - `make clients` does that"
        if os.environ.get("BEDSIDE_REQUIRE_CLIENTS") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return program


@pytest.fixture(scope="session")
def client_python() -> Callable[[str], Path]:
    """The Python of the environment with the second or third line of `openai`."""
    return lambda line: installed(ROOT / ".venvs" / f"clients-{line}" / "bin" / "python")


@pytest.fixture(scope="session")
def node() -> Path:
    """Node.js."""
    return installed(ROOT / ".venvs" / "clients-node" / "bin" / "node")


@pytest.fixture(scope="session")
def node_modules(node: Path) -> Path:
    """The npm packages, which Node.js looks for beside a program."""
    return node.parents[1] / "node_modules"


@pytest.fixture(scope="session")
def java() -> Path:
    """A JDK's launcher; Debian has it."""
    return installed(Path(shutil.which("java") or "/usr/bin/java"))


def wanted(asked: dict[str, Any], path: str) -> str:
    """Which of the recorded answers fits a request."""
    kind = {"/v1/chat/completions": "chat", "/v1/completions": "completion"}.get(path, "response")
    if path == "/v1/embeddings":
        return f"embedding, {asked.get('encoding_format', 'float')}"
    if asked.get("stream"):
        kind += " stream"
    answered = '"tool_call_id"' in json.dumps(asked) or '"function_call_output"' in json.dumps(
        asked
    )
    if asked.get("tools") and not answered:
        kind += ", tool call"
    elif asked.get("response_format"):
        kind += ", schema"
    return kind


async def speak(request: web.Request) -> web.StreamResponse:
    """Answer as vLLM would: in a stream, with a tool call, or as JSON of a schema."""
    recorded = RECORDED[wanted(await request.json(), request.path)]
    if "answer" in recorded:
        return web.json_response(recorded["answer"])
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    await response.write(recorded["events"].encode())
    return response


async def stall(request: web.Request) -> web.StreamResponse:
    """Begin a stream and say no more."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    first, _, _ = RECORDED["chat stream"]["events"].partition("data: [DONE]")
    await response.write("\n\n".join([*first.split("\n\n")[:2], ""]).encode() + b"\n")
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture
def speaking(engine):
    """An engine that answers whatever it is asked."""
    engine.script = speak
    return engine


@pytest.fixture
def stalling(engine):
    """An engine whose streams do not end."""
    engine.script = stall
    return engine


@pytest.fixture
def ready_at() -> Callable[[Any], Awaitable[None]]:
    """Waits until a gateway has found its engine."""

    async def wait(gateway: Any) -> None:
        for _ in range(1500):
            async with gateway.session.get(f"{gateway.url}/readyz") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.02)
        pytest.fail("the gateway is not ready")

    return wait


@pytest.fixture
def ready(engine, gateway, ready_at) -> Callable[[], Awaitable[None]]:
    """Waits until the gateway has found its engine."""
    return lambda: ready_at(gateway)


@pytest.fixture
def limited_key(gateway, make_key) -> Callable[[int], Awaitable[str]]:
    """Makes a key with so many requests per minute, and waits until the gateway knows it."""

    async def make(requests: int) -> str:
        key = make_key(requests_per_minute=requests).secret
        for _ in range(1500):
            headers = {"Authorization": f"Bearer {key}"}
            async with gateway.session.get(f"{gateway.url}/v1/models", headers=headers) as answer:
                if answer.status == 200:
                    return str(key)
            await asyncio.sleep(0.02)
        raise AssertionError

    return make


@pytest.fixture
def program() -> Callable[..., Any]:
    """Runs a program while the gateway runs in this process; its exit status and output."""

    @asynccontextmanager
    async def running(
        *command: str | Path, **env: str
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        found = await asyncio.create_subprocess_exec(
            *map(str, command),
            env={"PATH": os.environ["PATH"], **env},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield found
        finally:
            if found.returncode is None:
                found.kill()
            await found.communicate()

    return running


@pytest.fixture
def recorded() -> dict[str, dict[str, Any]]:
    """The recorded answers by name."""
    return RECORDED
