"""An engine that is told to end: at once while it loads, after its running answers if it serves."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from bedside_core.registry.registry import Registry
from bedside_inference.engine import ending
from bedside_inference.paths import socket_path
from bedside_inference.served import VARIABLE

Start = Callable[..., subprocess.Popen[str]]
LOADS_FOR_EVER = 600.0
PROMISED_SECONDS = 10
"""Ten times what is promised."""
FIRST = ("unshare", "--pid", "--fork", "--kill-child=KILL")
"""Makes it the first process of a container, which loses a signal that it has no handler for."""


@pytest.fixture
def start(home, served, tmp_path) -> Iterator[Start]:
    """Starts the main module as it is, with a server of ours where vLLM's would be."""
    package = tmp_path / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    for folder in (package, *package.parents[:2]):
        (folder / "__init__.py").touch()
    shutil.copy(Path(__file__).with_name("api_server.py"), package)
    Registry(home)
    environment = {
        **os.environ, VARIABLE: served.model_dump_json(), "BEDSIDE_HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }  # fmt: skip
    environment.pop("BEDSIDE_PARENT_PID", None)
    begun: list[subprocess.Popen[str]] = []

    def start(seconds: float, path: Path, *before: str) -> subprocess.Popen[str]:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        module = ["-P", "-m", "bedside_inference.engine.vllm_server", "--model", "x"]
        process = subprocess.Popen(
            [*before, sys.executable, *module, str(seconds), str(path)],
            env=environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("number", ending.ENDING)
def test_one_that_loads_ends_at_once(start, home, number) -> None:
    process = start(LOADS_FOR_EVER, home / "s")
    assert said(process) == "loading\n"
    process.send_signal(number)
    assert process.wait(PROMISED_SECONDS) == 128 + number


def child_of(process: subprocess.Popen[str]) -> int:
    while True:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children:
            return int(children[0])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a PID namespace")
def test_the_first_process_of_a_container_ends_too(start, home) -> None:
    process = start(LOADS_FOR_EVER, home / "s", *FIRST)
    assert said(process) == "loading\n"
    os.kill(child_of(process), signal.SIGTERM)
    assert process.wait(PROMISED_SECONDS) == 128 + signal.SIGTERM


HELD_BACK = """
import os, sys
from bedside_inference.engine import ending
ending.hold_back()
print("held back", flush=True)
sys.stdin.readline()
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
LATE = "from bedside_inference.engine import ending; ending.loading(); print('lives on')"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a PID namespace")
def test_a_signal_between_two_programs_is_not_lost() -> None:
    process = subprocess.Popen(
        [*FIRST, sys.executable, "-c", HELD_BACK, "-c", LATE],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert said(process) == "held back\n"
    os.kill(child_of(process), signal.SIGTERM)
    rest, _ = process.communicate("go on\n", timeout=60)
    assert (rest, process.returncode) == ("", 128 + signal.SIGTERM)


async def until(door, status: int, word: str) -> None:
    """Wait until `/readyz` says so."""
    async with asyncio.timeout(30):
        while True:
            async with door.session.get(f"{door.url}/readyz") as answer:
                if (answer.status, (await answer.json())["status"]) == (status, word):
                    return
            await asyncio.sleep(0.01)


async def test_one_that_serves_finishes_and_everybody_is_told(start, config, home, gateway) -> None:
    process = start(0.0, socket_path(config, home))
    await until(gateway, 200, "ready")
    async with gateway.chat(stream=True) as running:
        await running.content.readline()
        process.send_signal(signal.SIGTERM)
        codes = set()
        for _ in range(20):
            async with gateway.chat() as answer:
                if answer.status == 200:  # the signal was still on its way
                    assert not codes
                    continue
                codes.add((await answer.json())["error"]["code"])
                assert answer.status == 503
                assert int(answer.headers["Retry-After"]) > 0
        assert codes == {"engine_draining"}
        await until(gateway, 503, "engine draining")
        assert (await running.content.read()).endswith(b"data: [DONE]\n\n")
    assert await asyncio.to_thread(process.wait, 30) == 0
    await until(gateway, 503, "model loading")


async def test_another_engine_takes_over(start, config, home, second, served, open_gateway) -> None:
    second.served = served
    own = socket_path(config, home)
    section = config.gateway.model_copy(
        update={"engines": (str(own), str(home / "run" / "second.sock"))}
    )
    process = start(0.0, own)
    async with open_gateway(config.model_copy(update={"gateway": section})) as door:
        async with asyncio.timeout(60):
            while (running := await door.chat(stream=True)).status != 200:  # not the other's turn
                running.close()
        await running.content.readline()
        process.send_signal(signal.SIGTERM)
        for _ in range(20):
            async with door.chat() as answer:
                assert answer.status == 200
        await until(door, 200, "ready")
        assert (await running.content.read()).endswith(b"data: [DONE]\n\n")
        running.close()
        assert await asyncio.to_thread(process.wait, 30) == 0
        async with door.chat() as answer:
            assert answer.status == 200


async def test_what_vllm_answers_too_late_is_no_error_of_the_request(
    engine, gateway, served
) -> None:
    """Let in before the signal, and 500 by what vLLM closes at it: the door says that it drains."""

    async def cut_off(request: web.Request) -> web.StreamResponse:
        engine.served = served.model_copy(update={"draining": True})
        engine.healthy = False
        return web.Response(status=503)

    await until(gateway, 200, "ready")
    engine.script = cut_off
    async with gateway.chat() as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (503, "engine_draining")
        assert answer.headers["Retry-After"]
