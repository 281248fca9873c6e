"""Text that a base writes, by the engine that would serve it, on a private socket.

Tested in tests/trainer/test_replay.py.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bedside_core import dispatch, lifeline
from bedside_core.console import say
from bedside_core.endpoint.client import Route, connected
from bedside_core.endpoint.config import EndpointConfig
from bedside_core.errors import BedsideError, ConfigError, InputError
from bedside_trainer.mixture import Generate

START_SECONDS = 900.0
"""Loading 24 billion parameters from a slow disk takes some minutes."""
STOP_SECONDS = 30.0
POLL_SECONDS = 0.25
TAIL_LINES = 15
OUR_ERROR = "bedside: "
"""How the command line begins an error message."""
ROUTE: Route = "/v1/completions"
CONCURRENCY = 32
"""Enough to keep a card busy; vLLM lets the rest wait."""
ANSWER_SECONDS = 1800.0
"""On two cores a full batch of long texts takes minutes."""


class EngineError(BedsideError):
    """The engine ended or did not start; the exit code is its own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def generate(
    config: Generate, prefix_id: int, model: str, digest: str, socket_path: Path, cache: Path
) -> list[str]:
    """Texts that the model writes after nothing but its prefix token, in the order of their seeds.

    Args:
        config: how many, how long, how they are drawn.
        prefix_id: the token before every text.
        model: what the engine calls it.
        digest: of the base; an answer of another model is refused.
        socket_path: where the engine listens.
        cache: answers are kept here, so that a killed run asks only for what is missing.

    Raises:
        InputError: the engine is gone, serves another model, or leaves most questions unanswered.
    """
    return asyncio.run(_generate(config, prefix_id, model, digest, socket_path, cache))


async def _generate(
    config: Generate, prefix_id: int, model: str, digest: str, socket_path: Path, cache: Path
) -> list[str]:
    endpoint = EndpointConfig(
        address=str(socket_path), model=model, digest=digest, concurrency=CONCURRENCY,
        timeout_seconds=ANSWER_SECONDS,
    )  # fmt: skip
    bodies = [
        {
            "prompt": [prefix_id],
            "max_tokens": config.max_tokens,
            "temperature": config.temperature,
            "top_p": config.top_p,
            "seed": config.seed + number,
        }
        for number in range(config.documents)
    ]
    texts: dict[int, str] = {}
    async with connected(endpoint, cache) as engine:
        async for outcome in engine.ask_all(ROUTE, bodies, total=len(bodies), name="replay"):
            if outcome.answer is not None:
                texts[outcome.number] = str(outcome.answer["choices"][0].get("text", ""))
    if 2 * len(texts) < len(bodies):
        raise InputError(
            f"the engine answered {len(texts)} of {len(bodies)} questions - the same command asks "
            "for the others again"
        )
    return [texts[number] for number in sorted(texts)]


@contextmanager
def engine(options: Sequence[str]) -> Iterator[Path]:
    """Start the engine with the run's base; yields its socket, and ends it afterwards.

    Args:
        options: `--config` and `--set` as this verb got them.

    Raises:
        ConfigError: the engine's environment is not here.
        EngineError: it ended before it answered, or did not answer in time.
    """
    program = dispatch.program("engine")
    if program is None:
        raise ConfigError(dispatch.missing("engine"))
    # A short path: that of a Unix socket has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="bedside-replay-") as name:
        place = Path(name) / "engine"
        place.mkdir(mode=0o700)
        log = Path(name) / "log"
        handle = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
        words = [str(program), "inference", "rehearse", str(place), *options]
        with subprocess.Popen(  # noqa: S603
            words,
            stdin=subprocess.DEVNULL, stdout=handle, stderr=handle,
            env=lifeline.tied(), process_group=0,
        ) as child:  # fmt: skip
            os.close(handle)
            try:
                _wait(child, place / "engine.sock", log)
                yield place / "engine.sock"
            finally:
                _end(child)


def _wait(child: subprocess.Popen[bytes], path: Path, log: Path) -> None:
    started = time.monotonic()
    say("starting the engine with this run's base; nobody else can reach it")
    while not _listens(path):
        code = child.poll()
        if code is not None:
            # A program that a signal ended has the code that shells give it.
            raise EngineError(f"the engine ended{_last_words(log)}", code if code > 0 else 1)
        if time.monotonic() - started > START_SECONDS:
            raise EngineError(
                f"the engine did not load the base in {START_SECONDS:.0f} s{_last_words(log)}", 1
            )
        time.sleep(POLL_SECONDS)
    say(f"the engine answers after {time.monotonic() - started:.0f} s")


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(POLL_SECONDS)
        return probe.connect_ex(str(path)) == 0


def _last_words(log: Path) -> str:
    """What it said before it had anything to say about texts: nothing was asked yet."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    ours = [number for number, line in enumerate(lines) if line.startswith(OUR_ERROR)]
    if ours:
        return ": " + "\n".join(lines[ours[-1] :]).removeprefix(OUR_ERROR)
    return ":\n" + "\n".join(lines[-TAIL_LINES:])


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
