"""Ten thousand streams that wait, on one worker of the gateway.

    .venvs/dev/bin/python bench/gateway/idle.py

Each stream gets its first token and then nothing more. Measured are the memory per stream, whether
and how fast an ordinary request is answered while they wait, and that everything is released when
their clients leave. Needs some 20,100 open files per process; clients come from several addresses
of the loopback, because one has 28,000 ports and shares them with the hop to the engine. The exit
code is 1 if a stream does not begin, an ordinary request fails, or something stays.
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
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop
from load import Connection, Load, connect, spread
from peers import LOAD_CORES, House, Peer, machine, running_in

from bedside_core.console import say
from bedside_core.progress import Progress

RESULTS = Path(__file__).parents[1] / "results" / "idle.json"
STREAMS = 10_000
AT_A_TIME = 100
ORDINARY = 50
FILES_PER_STREAM = 2
SPARE_FILES = 100
RELEASE_SECONDS = 300
HOUR = 3600
MIB = 1 << 20


def settings(streams: int) -> dict[str, Any]:
    """Room for all streams, and no patience lost: here silence is not a fault."""
    patient = {name: HOUR for name in ("first_token", "between_tokens", "answer")}
    return {
        "mock": {"first_token_ms": 0, "inter_token_ms": HOUR * 1000, "max_running": streams * 2},
        "admission": {
            "max_running": streams * 2,
            "max_running_tokens": 1 << 30,
            "max_queued": streams,
            "max_queued_tokens": 1 << 30,
        },
        "gateway": {
            "timeouts": patient,
            "health": {"stall_seconds": HOUR},
            "drain_seconds": 1,
        },
    }


class Waiting:
    """The idle streams."""

    def __init__(self, peer: Peer) -> None:
        self.targets = [replace(peer.target, source=f"127.0.0.{2 + n}") for n in range(4)]
        self.request = peer.target.request(stream=True, tokens=2)
        self.connections: list[Connection] = []
        self.asking: list[asyncio.Task[Any]] = []

    async def begin(self, number: int) -> None:
        """Open one stream and wait for its first byte."""
        connection = await connect(self.targets[number % len(self.targets)])
        begun = asyncio.Event()
        connection.began = begun.set
        self.connections.append(connection)
        asked = connection.ask(self.request, time.perf_counter(), stream=True, patience=HOUR)
        self.asking.append(asyncio.create_task(asked))
        await asyncio.wait_for(begun.wait(), 60)

    async def leave(self) -> None:
        for connection in self.connections:
            connection.close()
        await asyncio.gather(*self.asking)


async def measure(gateway: Peer, engine: Peer, streams: int) -> dict[str, Any]:
    """Open, look, ask, close, look again."""
    ordinary = Load(gateway.target, False, 1)

    async def ask() -> dict[str, Any]:
        done = len(ordinary.answers)
        for _ in range(ORDINARY):
            await ordinary.one(time.perf_counter())
        answers = ordinary.answers[done:]
        good = [answer.total for answer in answers if answer.good]
        return {"good": len(good), "of": len(answers), "ms": spread(good)}

    before_asked = await ask()
    rss, files = gateway.rss(), gateway.files()
    waiting = Waiting(gateway)
    started = time.perf_counter()
    with Progress("streams", total=streams, unit="stream") as progress:
        for first in range(0, streams, AT_A_TIME):
            wave = range(first, min(streams, first + AT_A_TIME))
            await asyncio.gather(*(waiting.begin(number) for number in wave))
            progress.update(len(wave))
    opened = time.perf_counter() - started
    held, full = running_in(engine), gateway.rss()
    cpu = gateway.cpu_seconds()
    await asyncio.sleep(5)
    resting = (gateway.cpu_seconds() - cpu) / 5
    while_asked = await ask()
    alive = sum(connection.open for connection in waiting.connections)
    await waiting.leave()
    started = time.perf_counter()
    while (running_in(engine) or gateway.files() > files + AT_A_TIME) and (
        time.perf_counter() - started < RELEASE_SECONDS
    ):
        await asyncio.sleep(0.1)
    released = time.perf_counter() - started
    after_asked = await ask()
    ordinary.close()
    return {
        "streams": streams,
        "running_in_engine": held,
        "alive_at_the_end": alive,
        "opened_per_second": round(streams / opened, 1),
        "rss_mib": {name: round(value / MIB, 1) for name, value in
                    (("before", rss), ("full", full), ("after", gateway.rss()))},
        "kib_per_stream": round((full - rss) / streams / 1024, 2),
        "cores_used_while_idle": round(resting, 3),
        "ordinary_request": {
            "before": before_asked, "among_idle_streams": while_asked, "after": after_asked,
        },
        "released_seconds": round(released, 2),
        "left_in_engine": running_in(engine),
        "files": {"before": files, "after": gateway.files()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    files = arguments.streams * FILES_PER_STREAM + SPARE_FILES
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, max(files, *limits())))
    except (ValueError, OSError):
        sys.exit(f"{files} open files are needed, {limits()[1]} allowed - raise `ulimit -Hn`")
    facts = machine()
    os.sched_setaffinity(0, LOAD_CORES)
    with tempfile.TemporaryDirectory(prefix="bedside-idle-") as directory:
        house = House(Path(directory), settings(arguments.streams))
        with house.mock_engine() as engine, house.gateway() as gateway:
            found = uvloop.run(measure(gateway, engine, arguments.streams))
    asked = found["ordinary_request"].values()
    good = (
        found["running_in_engine"] == found["alive_at_the_end"] == arguments.streams
        and all(one["good"] == one["of"] for one in asked)
        and found["left_in_engine"] == 0
        and found["files"]["after"] <= found["files"]["before"] + AT_A_TIME
    )
    result = {"machine": facts, **found, "good": good}
    arguments.results.parent.mkdir(exist_ok=True)
    arguments.results.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    say(json.dumps(found, indent=2))
    say("good" if good else "NOT good")
    sys.exit(0 if good else 1)


def limits() -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_NOFILE)


if __name__ == "__main__":
    main()
