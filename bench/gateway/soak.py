"""Whether the gateway's memory stays flat under hours of mixed load.

    .venvs/dev/bin/python bench/gateway/soak.py                   one hour
    .venvs/dev/bin/python bench/gateway/soak.py --seconds 180     what CI takes

Of ten requests six are streamed to the end, three are not streamed, and from one the client walks
away at the first byte. Resident memory is read each second; a straight line is fitted after the
warm-up, in which caches, pools and the allocator find their size. It begins with many streams at
once: the allocator keeps what a stall of the machine, and the requests that pile up in it, once
needed, and that would look like a leak. For the same reason admission is wide.

The bound: a leak is something that each request leaves behind, and the least that a Python program
can leave behind by mistake (an object with a few fields, a task, an entry in a dict with its key)
is some hundreds of bytes. So memory may not grow faster than 256 bytes per request; at the rate of
this load that is some 44 MiB an hour, against hundreds for one lost answer per request, and it is
well above the noise of a three-minute run. The exit code is 1 if it does, if an answer was wrong,
or if a request is still running in the engine at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import plot
import uvloop
from load import Load, spread
from peers import LOAD_CORES, House, Peer, machine, running_in

from bedside_core.console import say
from bedside_core.progress import Progress

RESULTS = Path(__file__).parents[1] / "results" / "soak.json"
RATE = 50
"""Requests a second."""
MIX = ("stream",) * 6 + ("whole",) * 3 + ("leave",)
TOKENS = 32
MOCK = {"first_token_ms": 50, "inter_token_ms": 10, "jitter": 0.2, "max_running": 4096}
ADMISSION = {"max_running": 1024, "max_queued": 1024, "max_queued_tokens": 1 << 24}
BURST, BURST_SECONDS = 256, 10
"""Streams at once, before anything is measured."""
MAX_BYTES_PER_REQUEST = 256
MAX_WARM_UP_SECONDS = 300
MIB = 1 << 20


async def soak(peer: Peer, seconds: int) -> tuple[dict[str, Any], list[float], list[int]]:
    """The counts, and resident memory at each second."""
    loads = {kind: Load(peer.target, kind != "whole", TOKENS) for kind in ("stream", "whole")}
    left: list[bool] = []
    tasks: set[asyncio.Task[None]] = set()

    async def ask(kind: str, due: float) -> None:
        if kind == "leave":
            left.append(await loads["stream"].leave(due))
        else:
            await loads[kind].one(due)

    async def send() -> None:
        started = time.perf_counter()
        for number in range(seconds * RATE):
            due = started + number / RATE
            await asyncio.sleep(max(0, due - time.perf_counter()))
            task = asyncio.create_task(ask(MIX[number * 7 % len(MIX)], due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        while tasks:
            await asyncio.sleep(0.05)

    burst = Load(peer.target, True, TOKENS)
    await burst.closed(BURST, BURST_SECONDS)
    burst.close()
    times: list[float] = []
    rss: list[int] = []
    started = time.perf_counter()
    sending = asyncio.create_task(send())
    with Progress("soak", total=seconds, unit="s") as progress:
        for second in range(seconds):
            await asyncio.sleep(max(0, started + second + 1 - time.perf_counter()))
            times.append(time.perf_counter() - started)
            rss.append(peer.rss())
            progress.update(rss_mib=round(rss[-1] / MIB, 1))
    await sending
    answers = [answer for load in loads.values() for answer in load.answers]
    counts = {
        "answered": sum(answer.good for answer in answers),
        "wrong": sum(not answer.good for answer in answers) + left.count(False),
        "wrong_by_status": Counter(answer.status for answer in answers if not answer.good),
        "left": left.count(True),
        "first_byte_of_streams_ms": spread([a.first for a in loads["stream"].answers]),
    }
    for load in loads.values():
        load.close()
    return counts, times, rss


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.seconds < 10:
        parser.error("--seconds must be at least 10")
    facts = machine()
    os.sched_setaffinity(0, LOAD_CORES)
    with tempfile.TemporaryDirectory(prefix="bedside-soak-") as directory:
        house = House(Path(directory), {"mock": MOCK, "admission": ADMISSION})
        with house.mock_engine() as engine, house.gateway() as gateway:
            counts, times, rss = uvloop.run(soak(gateway, arguments.seconds))
            time.sleep(1)
            stuck = running_in(engine)
    warm_up = min(MAX_WARM_UP_SECONDS, arguments.seconds / 3)
    counted = [(t, value) for t, value in zip(times, rss, strict=True) if t >= warm_up]
    slope, start = statistics.linear_regression(*zip(*counted, strict=True))
    bound = MAX_BYTES_PER_REQUEST * RATE
    flat, clean = slope <= bound, not counts["wrong"] and not stuck
    result = {
        "machine": facts,
        "seconds": arguments.seconds,
        "requests_per_second": RATE,
        "mix": {kind: MIX.count(kind) for kind in dict.fromkeys(MIX)},
        "mock": MOCK,
        "admission": ADMISSION,
        "burst": {"streams": BURST, "seconds": BURST_SECONDS},
        **counts,
        "still_running_in_engine": stuck,
        "warm_up_seconds": round(warm_up),
        "slope_mib_per_hour": round(slope * 3600 / MIB, 2),
        "slope_bytes_per_request": round(slope / RATE, 1),
        "bound_bytes_per_request": MAX_BYTES_PER_REQUEST,
        "flat": flat,
        "rss_mib": [round(value / MIB, 2) for value in rss],
    }
    arguments.results.parent.mkdir(exist_ok=True)
    arguments.results.write_text(json.dumps(result) + "\n", encoding="utf-8")
    plot.soak(times, rss, (slope, start), warm_up, arguments.results.with_suffix(".png"))
    say(
        f"{counts['answered']} answered, {counts['left']} left, {counts['wrong']} wrong, {stuck} "
        f"still running; {slope * 3600 / MIB:+.2f} MiB an hour, {slope / RATE:+.0f} bytes per "
        f"request (bound {MAX_BYTES_PER_REQUEST})"
    )
    sys.exit(0 if flat and clean else 1)


if __name__ == "__main__":
    main()
