"""Ten thousand silent connections and seven hundred streams, begun at a soft limit of 1,024 files.

    .venvs/dev/bin/python bench/gateway/crowd.py

The gateway's process is started with that soft limit, the usual one, and takes its hard limit by
itself. Silent connections of strangers come first, then the streams of a caller with a key; while
they run, ordinary requests are asked. Then more silent connections come than there are files. The
exit code is 1 if a stream or an ordinary request fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop
from load import Load, connect, spread
from peers import LOAD_CORES, House, Peer, machine, running_in

from bedside_core.console import say

RESULTS = Path(__file__).parents[1] / "results" / "crowd.json"
SOFT = 1024
IDLE, STREAMS, ORDINARY = 10_000, 700, 20
AT_A_TIME = 200
TOKENS, TOKEN_MS = 100, 500
SOURCES = tuple(f"127.0.0.{2 + n}" for n in range(4))
SETTINGS = {
    "mock": {"first_token_ms": 0, "inter_token_ms": TOKEN_MS, "max_running": 2 * STREAMS},
    "admission": {"max_running": STREAMS + 64, "max_queued": STREAMS},
    "engine": {"max_model_len": 1 << 16},
}


class Silent(asyncio.Protocol):
    """A connection that says nothing."""

    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Silent.count += 1

    def connection_lost(self, exc: Exception | None) -> None:
        Silent.count -= 1


async def silent(port: int, count: int) -> list[asyncio.BaseTransport]:
    loop = asyncio.get_running_loop()
    made: list[asyncio.BaseTransport] = []

    async def one(number: int) -> None:
        source = (SOURCES[number % len(SOURCES)], 0)
        with suppress(OSError):
            transport, _ = await loop.create_connection(
                Silent, "127.0.0.1", port, local_addr=source
            )
            made.append(transport)

    for first in range(0, count, AT_A_TIME):
        await asyncio.gather(*(one(n) for n in range(first, min(count, first + AT_A_TIME))))
    return made


async def measure(gateway: Peer, engine: Peer) -> dict[str, Any]:
    ordinary = Load(gateway.target, False, 1)
    port = gateway.target.port

    async def ask() -> dict[str, Any]:
        done = len(ordinary.answers)
        for _ in range(ORDINARY):
            await ordinary.one(time.perf_counter())
        answers = ordinary.answers[done:]
        good = [answer.total for answer in answers if answer.good]
        return {"good": len(good), "of": len(answers), "ms": spread(good)}

    found: dict[str, Any] = {"ordinary_alone": await ask()}
    began = time.perf_counter()
    held = await silent(port, IDLE)
    found["silent"] = Silent.count
    found["silent_seconds"] = round(time.perf_counter() - began, 2)
    request = gateway.target.request(stream=True, tokens=TOKENS)
    targets = [replace(gateway.target, source=source) for source in SOURCES]

    async def stream(number: int) -> bool:
        connection = await connect(targets[number % len(targets)])
        answer = await connection.ask(request, time.perf_counter(), stream=True, patience=600)
        return bool(answer.good)

    streams = [asyncio.create_task(stream(number)) for number in range(STREAMS)]
    while running_in(engine) < STREAMS and time.perf_counter() - began < 120:
        await asyncio.sleep(0.1)
    found["streams_running"] = running_in(engine)
    found["silent_beside_streams"] = Silent.count
    found["files_of_the_gateway"] = gateway.files()
    found["ordinary_beside_both"] = await ask()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    more = await silent(port, max(0, files - gateway.files() - 3 * AT_A_TIME))
    found["silent_offered"] = len(held) + len(more)
    found["ordinary_beside_a_flood"] = await ask()
    found["streams_good"] = sum(await asyncio.gather(*streams))
    for transport in (*held, *more):
        transport.close()
    ordinary.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    facts, hard = machine(), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    os.sched_setaffinity(0, LOAD_CORES)
    with tempfile.TemporaryDirectory(prefix="bedside-crowd-") as directory:
        resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, hard))  # the children's
        house = House(Path(directory), SETTINGS)
        with house.mock_engine() as engine, house.gateway() as gateway:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            found = uvloop.run(measure(gateway, engine))
    asked = [value for name, value in found.items() if name.startswith("ordinary")]
    good = found["streams_good"] == STREAMS and all(one["good"] == one["of"] for one in asked)
    limits = {"soft": SOFT, "hard": hard}
    result = {"machine": facts, "open_files": limits, **found, "good": good}
    arguments.results.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    say(json.dumps(found, indent=2))
    say("good" if good else "NOT good")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
