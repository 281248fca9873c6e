"""What a gateway adds to an answer and costs per request: ours, LiteLLM's, a bare one, and none.

    .venvs/dev/bin/python bench/gateway/run.py

All answer from the same mock engine over the same TCP port. The peer under test has a core to
itself; the mock engine and the load generator share the other ones. Two kinds of load:

- open: a fixed rate that the peer can carry, each request counted from when it was due. This is
  where added latency means something: time to first byte of the peer minus that of `direct`.
- closed: 1 to 512 clients that ask again at once. On one core this measures throughput and, with
  many clients, mostly queueing.

CPU time is that of the peer's whole process tree while it was under load, per finished request.
Figures go to `bench/results/gateway.json`, the plot to `bench/results/gateway.png`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import plot
import uvloop
from load import Load, spread
from peers import (
    LOAD_CORES,
    House,
    Peer,
    litellm_environment,
    litellm_version,
    machine,
    own_cpu_seconds,
)

from bedside_core.console import say, table
from bedside_core.progress import Progress

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results" / "gateway.json"
LITELLM = ROOT / ".venvs" / "bench-litellm"

TOKENS = 32
"""With the opening one, a stream of 33 chunks."""
MOCK = {"first_token_ms": 20, "inter_token_ms": 5, "max_running": 4096, "tokens": TOKENS}
# Room for every client: what is measured is the work, not the waiting for admission.
ADMISSION = {
    "max_running": 1024,
    "max_running_tokens": 1 << 24,
    "max_queued": 1024,
    "max_queued_tokens": 1 << 24,
}
CLIENTS = (1, 8, 64, 256, 512)
RATES = (15, 50)
LITELLM_MAX_RATE = 15
"""Streams a second: at little more its core is full, and the queue measures the run's length."""
WARM_UP = 50
AFTER_SECONDS = 1.5
"""Our gateway counts and logs the requests of a second together."""
IDLE_SECONDS = 5
PEERS = ("direct", "passthrough", "bedside", "litellm")

MAX_ADDED_MS = 10
MIN_CPU_RATIO = {"whole": 10, "stream": 20}


async def measure(peer: Peer, engine: Peer, *, stream: bool, **shape: float) -> dict[str, Any]:
    """One cell: a peer under one load (`clients` or `rate`) for `seconds`."""
    warm = Load(peer.target, stream, TOKENS)
    await asyncio.gather(*(warm.one(time.perf_counter()) for _ in range(WARM_UP)))
    warm.close()
    await asyncio.sleep(AFTER_SECONDS)
    if not any(answer.good for answer in warm.answers):
        sys.exit(f"{peer.name} gives no good answer")
    load = Load(peer.target, stream, TOKENS)
    started, before = time.perf_counter(), (peer.cpu_seconds(), own_cpu_seconds())
    engine_before = engine.cpu_seconds()
    if "clients" in shape:
        await load.closed(int(shape["clients"]), shape["seconds"])
    else:
        await load.open(shape["rate"], shape["seconds"])
    wall = time.perf_counter() - started
    await asyncio.sleep(AFTER_SECONDS)  # what a peer does after its answer, such as logging, counts
    cpu, own = peer.cpu_seconds() - before[0], own_cpu_seconds() - before[1]
    upstream = engine.cpu_seconds() - engine_before
    load.close()
    good = [answer for answer in load.answers if answer.good]
    return {
        "peer": peer.name,
        "kind": "stream" if stream else "whole",
        **{name: value for name, value in shape.items() if name != "seconds"},
        "requests": len(good),
        "errors": len(load.answers) - len(good),
        "seconds": round(wall, 3),
        "requests_per_second": round(len(good) / wall, 1),
        "first_token_ms": spread([answer.first for answer in good]),
        "total_ms": spread([answer.total for answer in good]),
        "cpu_ms_per_request": round(cpu / len(good) * 1000, 3) if good else None,
        "requests_per_cpu_second": round(len(good) / cpu, 1) if cpu else None,
        "cores_used": {
            "peer": round(cpu / wall, 2),
            "load": round(own / wall, 2),
            "engine": round(upstream / wall, 2),
        },
        "rss_mib": round(peer.rss() / (1 << 20), 1),
    }


def base_of(cell: dict[str, Any], cells: list[dict[str, Any]], peer: str) -> dict[str, Any] | None:
    """The cell of another peer under the same load."""
    same = ("kind", "rate", "clients")
    return next(
        (c for c in cells if c["peer"] == peer and all(c.get(n) == cell.get(n) for n in same)), None
    )


def add_differences(cells: list[dict[str, Any]]) -> None:
    """Write into each cell what the peer adds to the percentiles of `direct` under that load."""
    for cell in cells:
        base = base_of(cell, cells, "direct")
        if base and base is not cell and cell["requests"] and base["requests"]:
            cell["added_first_token_ms"] = {
                name: round(value - base["first_token_ms"][name], 3)
                for name, value in cell["first_token_ms"].items()
            }


def goals(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was asked of our gateway, whether this run shows it, and where a bare one would be."""
    found = []

    def goal(
        name: str, value: float, limit: float, met: bool, passthrough: float | None = None
    ) -> None:
        found.append(
            {"goal": name, "value": value, "passthrough": passthrough, "limit": limit, "met": met}
        )

    for cell in (c for c in cells if c["peer"] == "bedside" and c["requests"]):
        where = f"{cell['kind']}, {load_name(cell)}"
        if "rate" in cell and "added_first_token_ms" in cell:
            value = cell["added_first_token_ms"]["p99"]
            goal(f"added p99 to first byte, ms: {where}", value, MAX_ADDED_MS, value < MAX_ADDED_MS)
        other, bare = (base_of(cell, cells, peer) for peer in ("litellm", "passthrough"))
        if other and other["requests"]:
            ratio = cpu_ratio(other, cell)
            floor = cpu_ratio(other, bare) if bare and bare["requests"] else None
            limit = MIN_CPU_RATIO[cell["kind"]]
            goal(f"CPU of LiteLLM / ours: {where}", ratio, limit, ratio >= limit, floor)
    for kind, limit in MIN_CPU_RATIO.items():
        ours, theirs, least = (
            most_per_cpu_second(cells, peer, kind) for peer in ("bedside", "litellm", "passthrough")
        )
        if ours and theirs:
            ratio, floor = round(ours / theirs, 1), round(least / theirs, 1) or None
            goal(
                f"most per CPU-second, ours / LiteLLM: {kind}", ratio, limit, ratio >= limit, floor
            )
    return found


def cpu_ratio(cell: dict[str, Any], other: dict[str, Any]) -> float:
    """How many times the CPU of the other a request costs."""
    return float(round(cell["cpu_ms_per_request"] / other["cpu_ms_per_request"], 1))


def most_per_cpu_second(cells: list[dict[str, Any]], peer: str, kind: str) -> float:
    """What a full core carries; with fewer clients it mostly wakes up and falls asleep."""
    rates = [
        cell["requests_per_cpu_second"]
        for cell in cells
        if (cell["peer"], cell["kind"]) == (peer, kind) and "clients" in cell and cell["requests"]
    ]
    return max(rates, default=0)


def load_name(cell: dict[str, Any]) -> str:
    return f"{cell['rate']:g}/s" if "rate" in cell else f"{cell['clients']:g} clients"


def report(cells: list[dict[str, Any]], met: list[dict[str, Any]]) -> None:
    """Print the tables."""
    rows = [
        [
            *("peer", "kind", "load", "requests", "errors", "req/s", "first p50", "p99 ms"),
            *("added p99", "CPU ms/req", "peer cores", "RSS MiB"),
        ]
    ]
    for cell in cells:
        first = cell["first_token_ms"] or {"p50": float("nan"), "p99": float("nan")}
        more = cell.get("added_first_token_ms")
        rows.append(
            [
                *(cell["peer"], cell["kind"], load_name(cell)),
                *(str(cell["requests"]), str(cell["errors"])),
                f"{cell['requests_per_second']:.0f}",
                *(f"{first[name]:.1f}" for name in ("p50", "p99")),
                f"{more['p99']:+.1f}" if more else "",
                str(cell["cpu_ms_per_request"]),
                str(cell["cores_used"]["peer"]),
                str(cell["rss_mib"]),
            ]
        )
    say(table(rows))
    if met:
        judged = [
            [m["goal"], *(str(m[name]) for name in ("value", "limit")),
             "yes" if m["met"] else "NO", str(m["passthrough"] or "")]
            for m in met
        ]  # fmt: skip
        say(table([["goal", "value", "limit", "met", "bare pass-through"], *judged]))


def loads(arguments: argparse.Namespace, peer: str) -> list[dict[str, float]]:
    """The shapes of load for a peer, in the order in which they are run."""
    rates = [r for r in arguments.rates if peer != "litellm" or r <= LITELLM_MAX_RATE]
    open_loop = [{"rate": rate, "seconds": arguments.open_seconds} for rate in rates]
    return [*open_loop, *({"clients": c, "seconds": arguments.seconds} for c in arguments.clients)]


def idle_cores(peer: Peer) -> float:
    """What a peer uses that nobody asks: part of each figure below, most of it at a low rate."""
    time.sleep(IDLE_SECONDS)  # what starting left behind
    before = peer.cpu_seconds()
    time.sleep(IDLE_SECONDS)
    return round((peer.cpu_seconds() - before) / IDLE_SECONDS, 4)


def measure_all(
    arguments: argparse.Namespace, house: House, progress: Progress
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Every cell, and each peer's idle load; a peer runs only while it is measured."""
    cells: list[dict[str, Any]] = []
    idle: dict[str, float] = {}
    with house.mock_engine() as direct:
        for name in arguments.peers:
            with ExitStack() as stack:
                match name:
                    case "direct":
                        peer = direct
                    case "passthrough":
                        peer = stack.enter_context(house.passthrough())
                    case "bedside":
                        peer = stack.enter_context(house.gateway())
                    case _:
                        peer = stack.enter_context(house.litellm(arguments.litellm))
                idle[name] = idle_cores(peer)
                for stream in (False, True):
                    for shape in loads(arguments, name):
                        cells.append(uvloop.run(measure(peer, direct, stream=stream, **shape)))
                        progress.update()
    return cells, idle


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--clients", nargs="+", type=int, default=list(CLIENTS))
    parser.add_argument("--seconds", type=float, default=10, help="of each closed load")
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES), help="of open loads")
    parser.add_argument("--open-seconds", type=float, default=60, help="of each open load")
    parser.add_argument("--litellm", type=Path, default=LITELLM, help="its environment")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    facts = machine()
    versions = {name: version(name) for name in ("aiohttp", "uvicorn", "uvloop", "fastapi")}
    versions["python"] = platform.python_version()
    if "litellm" in arguments.peers:
        litellm_environment(arguments.litellm)
        versions["litellm"] = litellm_version(arguments.litellm)
    os.sched_setaffinity(0, LOAD_CORES)
    total = sum(2 * len(loads(arguments, name)) for name in arguments.peers)
    with (
        tempfile.TemporaryDirectory(prefix="bedside-bench-") as directory,
        Progress("gateway benchmark", total=total, unit="load") as progress,
    ):
        house = House(Path(directory), {"mock": MOCK, "admission": ADMISSION})
        cells, idle = measure_all(arguments, house, progress)
    add_differences(cells)
    met = goals(cells)
    report(cells, met)
    result = {
        "machine": facts,
        "versions": versions,
        "mock": MOCK,
        "admission": ADMISSION,
        "idle_cores_used": idle,
        "cells": cells,
        "goals": met,
    }
    arguments.results.parent.mkdir(exist_ok=True)
    arguments.results.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    plot.peers(result, arguments.results.with_suffix(".png"))
    say(f"written: {arguments.results} and its plot")


if __name__ == "__main__":
    main()
