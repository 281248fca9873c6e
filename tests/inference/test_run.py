"""`up`: real processes of the real command line; only vLLM is a stand-in that answers `/health`."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bedside_core.config import Config
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_inference.config import InferenceConfig

# Put where the engine looks for vLLM: an OpenAI-like server with a worker process of its own.
VLLM = """
import asyncio, multiprocessing, os, signal, sys, time
from aiohttp import web

async def health(request):
    return web.Response()

async def chat(request):
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for word in ("Guten ", "Tag"):
        await response.write(b'data: {"id": "1", "object": "chat.completion.chunk", "created": 1, '
            b'"model": "m", "choices": [{"index": 0, "finish_reason": null, "delta": '
            b'{"content": "' + word.encode() + b'"}}]}\\n\\n')
        await asyncio.sleep(0.2)
    await response.write(b'data: {"id": "1", "object": "chat.completion.chunk", "created": 1, '
        b'"model": "m", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, '
        b'"total_tokens": 3}}\\n\\ndata: [DONE]\\n\\n')
    return response

process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,), daemon=True)
process.start()
home = os.path.dirname(sys.argv[sys.argv.index("--uds") + 1])
with open(os.path.join(home, "pids"), "w") as file:
    file.write(f"{os.getpid()} {process.pid}")
if os.path.exists(os.path.join(home, "crash")):
    print("CUDA error: no such thing", flush=True)
    os._exit(9)
if os.path.exists(os.path.join(home, "hang")):
    time.sleep(600)
async def mark(request, response):
    response.headers["X-Bedside-Served"] = os.environ["BEDSIDE_SERVED"]

app = web.Application()
app.on_response_prepare.append(mark)
app.router.add_get("/health", health)
app.router.add_post("/v1/chat/completions", chat)
web.run_app(app, path=sys.argv[sys.argv.index("--uds") + 1], print=None)
"""


@pytest.fixture
def environment(home: Path, tmp_path: Path) -> dict[str, str]:
    """A house with a base model to serve, and an engine environment with the stand-in."""
    run = Run("test", "inference", "engine", Registry(home))
    with run.write("base", run.recipe(Config())) as writer:
        header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        weights = len(header).to_bytes(8, "little") + header + bytes(4)
        (writer.path / "model.safetensors").write_bytes(weights)
        (writer.path / "config.json").write_text('{"dtype": "float32"}')
    package = tmp_path / "site" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    (package / "api_server.py").write_text(VLLM)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").touch()
    program = tmp_path / "envs" / "engine" / "bin" / "bedside"
    program.parent.mkdir(parents=True)
    # The engine passes no PYTHONPATH on, so the stand-in comes with the interpreter.
    wrapper = tmp_path / "python"
    wrapper.write_text(
        f'#!/bin/sh\nPYTHONPATH="{tmp_path / "site"}" exec "{sys.executable}" "$@"\n'
    )
    wrapper.chmod(0o755)
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        f"sys.executable = {str(wrapper)!r}\n"
        "from bedside_core.cli import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    (home / "run").mkdir(mode=0o700)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("BEDSIDE_")},
        "BEDSIDE_HOME": str(home),
        "BEDSIDE_ENVS": str(tmp_path / "envs"),
        "BEDSIDE_ALLOW_UNPROVEN": "1",
    }


@pytest.fixture
def command(config: InferenceConfig, tmp_path: Path) -> Callable[..., list[str]]:
    """The command line of a verb."""
    path = tmp_path / "config.yaml"
    gateway = {"port": config.gateway.port, "drain_seconds": 2}
    section = {"model_name": "test", "gateway": gateway}
    path.write_text(json.dumps({"name": "test", "inference": section}))

    def words(verb: str, *more: str) -> list[str]:
        program = [sys.executable, "-m", "bedside_core.cli", "inference", verb]
        return [*program, "--config", str(path), *more]

    return words


@pytest.fixture
def up(command, environment) -> Iterator[subprocess.Popen[str]]:
    """A running `up` that is ready."""
    process = subprocess.Popen(
        command("up"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("serving test (model ")
    yield process
    process.kill()
    process.communicate()


def engine_pids(home: Path) -> list[int]:
    return [int(word) for word in (home / "run" / "pids").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def all_gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(alive(pid) for pid in pids)


def port_is_free(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


def test_ctrl_c_leaves_nothing(up, home, config) -> None:
    pids = engine_pids(home)
    assert all(alive(pid) for pid in pids)
    up.send_signal(signal.SIGINT)
    output, _ = up.communicate(timeout=60)
    assert up.returncode == 0
    assert "stopping" in output
    assert all_gone(pids)
    assert port_is_free(config.gateway.port)


def test_kill_leaves_nothing(up, home, config) -> None:
    pids = engine_pids(home)
    up.kill()
    assert all_gone(pids)
    deadline = time.monotonic() + 60
    while not port_is_free(config.gateway.port) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert port_is_free(config.gateway.port)


def test_engine_death_stops_the_gateway(up, home, config) -> None:
    pids = engine_pids(home)
    os.kill(pids[0], signal.SIGKILL)
    _, errors = up.communicate(timeout=60)
    assert up.returncode == 137
    assert "the engine ended (SIGKILL)" in errors
    assert all_gone(pids)
    assert port_is_free(config.gateway.port)


def test_one_up_and_one_conversation(up, home, command, environment) -> None:
    def call(verb: str, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(verb, *more),
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    second = call("up")
    assert second.returncode == 2
    assert "already serving" in second.stderr

    key = call("keys", "create").stdout.strip()
    answer = call("chat", BEDSIDE_API_KEY=key)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("> Mein Blutdruck")
    assert "Guten Tag" in answer.stdout
    assert "UNPROVEN); 2 tokens, first after" in answer.stdout


def failing(command, environment, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("up", *more),
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_port_in_use(command, environment, config) -> None:
    with socket.create_server(("127.0.0.1", config.gateway.port)):
        done = failing(command, environment)
    assert done.returncode == 2
    assert f"port {config.gateway.port} on 127.0.0.1 is in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_refusal_of_the_engine_is_passed_on(command, environment) -> None:
    del environment["BEDSIDE_ALLOW_UNPROVEN"]
    done = failing(command, environment)
    assert done.returncode == 5
    assert "nothing is promoted" in done.stderr
    assert "Traceback" not in done.stderr


def test_tampered_weights(command, environment, home) -> None:
    [weights] = home.glob("artifacts/*/model.safetensors")
    weights.write_bytes(b"WEIGHTS")
    done = failing(command, environment)
    assert done.returncode == 4
    assert "model.safetensors was changed" in done.stderr
    assert not (home / "run" / "pids").exists()


def test_crash_while_loading(command, environment, home) -> None:
    (home / "run" / "crash").touch()
    done = failing(command, environment)
    assert done.returncode == 9
    assert "CUDA error" in done.stderr
    assert all_gone(engine_pids(home))


def test_loading_takes_too_long(command, environment, home, config) -> None:
    (home / "run" / "hang").touch()
    done = failing(command, environment, "--set", "inference.engine.start_timeout_seconds=3")
    assert done.returncode == 1
    assert "did not load the model in 3 s" in done.stderr
    if (home / "run" / "pids").exists():  # on a slow machine it has not come so far
        assert all_gone(engine_pids(home))
    assert port_is_free(config.gateway.port)


def test_no_engine_environment(command, environment, tmp_path) -> None:
    done = failing(command, {**environment, "BEDSIDE_ENVS": str(tmp_path / "none")})
    assert done.returncode == 2
    assert "`bash scripts/setup.sh engine`" in done.stderr


def test_gateway_alone_stops_cleanly(command, environment, config) -> None:
    process = subprocess.Popen(
        command("gateway"), env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while port_is_free(config.gateway.port) and time.monotonic() < deadline:
        time.sleep(0.05)
    connection = http.client.HTTPConnection("127.0.0.1", config.gateway.port, timeout=30)
    connection.request("GET", "/readyz")
    assert connection.getresponse().status == 503
    connection.close()
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in errors
