"""Clients that others wrote, and an engine that answers them with what vLLM would.

The npm packages and the command-line client come from their registries, in exact versions, into
the user's cache. That happens only with BEDSIDE_REQUIRE_CLIENTS=1; without it, and without a cache
from earlier, their tests are skipped.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
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
NPM = ("openai@6.49.0", "typescript@5.9.3")
"""The last line of the package that supports the Node.js of today's Debian and Ubuntu."""

LLM = "llm==0.36"
INSTALL_SECONDS = 300


def required(reason: str) -> None:
    """End the test: a client is missing."""
    if os.environ.get("BEDSIDE_REQUIRE_CLIENTS") == "1":
        pytest.fail(reason)
    pytest.skip(f"{reason} - BEDSIDE_REQUIRE_CLIENTS=1 installs and requires it")


def cached(name: str, install: Callable[[Path], None]) -> Path:
    """A directory in the user's cache that is there as a whole or not at all."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bedside-tests"
    found = cache / name.replace("/", "-")
    if found.exists():
        return found
    if os.environ.get("BEDSIDE_REQUIRE_CLIENTS") != "1":
        required(f"{name} is not installed")
    cache.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=cache))
    try:
        install(fresh)
        fresh.rename(found)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return found


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """A directory whose `node_modules` holds the `openai` package and the TypeScript compiler."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        required("Node.js and npm are not installed")

    def install(directory: Path) -> None:
        options = ("--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
        command = [str(npm), "install", "--prefix", str(directory), *options, *NPM]
        subprocess.run(command, check=True, timeout=INSTALL_SECONDS)

    return cached("+".join(NPM), install)


@pytest.fixture(scope="session")
def llm_python() -> Path:
    """The Python of an environment that holds the command-line client `llm`."""

    def install(directory: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", directory], check=True, timeout=60)
        command = [directory / "bin" / "python", "-m", "pip", "install", "--quiet", LLM]
        subprocess.run(command, check=True, timeout=INSTALL_SECONDS)

    version = f"py{sys.version_info.major}.{sys.version_info.minor}"
    return cached(f"{LLM}-{version}", install) / "bin" / "python"


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
def ready(engine, gateway) -> Callable[[], Any]:
    """Waits until the gateway has found its engine."""

    async def wait() -> None:
        for _ in range(1500):
            async with gateway.session.get(f"{gateway.url}/readyz") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.02)
        pytest.fail("the gateway is not ready")

    return wait


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
