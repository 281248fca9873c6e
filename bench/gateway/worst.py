"""How long the worst legal bodies and answers hold up everybody else.

    .venvs/dev/bin/python bench/gateway/worst.py

Each body is about as large or as structured as the gateway takes. Measured are the time on a core
that it takes to be checked and written anew, which is the longest that it could hold up others, and
how long `/livez` waits while a connection sends it again and again; that is the machine's affair,
too, so it stands beside the same wait without any body. The exit code is 1 if the time on a core is
above what is promised.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from load import spread
from peers import LOAD_CORES, MODEL, House, Peer, machine

from bedside_core.console import say
from bedside_inference.gateway.api.bodies import prepare_body
from bedside_inference.gateway.api.structure import structure
from bedside_inference.gateway.errors import ApiError
from bedside_inference.gateway.server import keep_out_of_garbage_collection

RESULTS = Path(__file__).parents[1] / "results" / "worst.json"
MEBIBYTE = 1 << 20
PROMISED_MS = 20.0
SECONDS = 3.0
PAUSE = 0.005
BEST_OF = 7
CHAT, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"
SETTINGS = {
    "mock": {"first_token_ms": 0, "inter_token_ms": 0, "tokens": 1},
    "engine": {"max_model_len": 1 << 22},
    "admission": {"max_running_tokens": 1 << 30, "max_queued_tokens": 1 << 30},
}


def chat(**changes: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "a"}], **changes}


def bodies() -> dict[str, tuple[str, bytes]]:
    """By what there is much of."""
    text = {"type": "text", "text": "a"}
    call = {"id": "1", "type": "function", "function": {"name": "a", "arguments": "{}"}}
    calls = {"role": "assistant", "content": None, "tool_calls": [call] * 64}
    wide = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(40)}}
    tool = {"type": "function", "function": {"name": "a", "parameters": wide}}
    numbers = {"type": "function", "function": {"name": "a", "parameters": {"enum": [1] * 8000}}}
    deep: dict[str, Any] = {}
    for _ in range(30):
        deep = {"a": deep}
    nested = {"type": "function", "function": {"name": "a", "parameters": deep}}
    item = {"role": "user", "content": [{"type": "input_text", "text": "a"}]}
    letter = 'Befund: {Hb [g/dl]: 12,3; "RR": [120, 80]} \\ \t' * 17_000
    said: dict[str, tuple[str, Any]] = {
        "messages": (CHAT, chat(messages=[{"role": "user", "content": "a"}] * 2048)),
        "parts": (CHAT, chat(messages=[{"role": "user", "content": [text] * 64}] * 80)),
        "tool calls": (CHAT, chat(messages=[calls] * 28)),
        "tools with schemas": (CHAT, chat(tools=[tool] * 128)),
        "numbers in schemas": (CHAT, chat(tools=[numbers] * 4)),
        "nested schemas": (CHAT, chat(tools=[nested] * 128)),
        "input items": (RESPONSES, {"model": MODEL, "input": [item] * 2048}),
        "embeddings": (EMBEDDINGS, {"model": MODEL, "input": ["a" * 900] * 1024}),
        "letter full of brackets": (CHAT, chat(messages=[{"role": "user", "content": letter}])),
        "umlauts": (CHAT, chat(messages=[{"role": "user", "content": "ä" * 500_000}])),
    }
    made = {
        name: (path, json.dumps(body, ensure_ascii=False).encode())
        for name, (path, body) in said.items()
    }
    head = json.dumps(chat()).encode()[:-1] + b',"user":['
    for name, unit in (("brackets", b"[],"), ("numbers", b"1,"), ("strings", b'"",')):
        count = (MEBIBYTE - len(head) - 2) // len(unit)
        made[f"refused: {name}"] = (CHAT, head + (unit * count)[:-1] + b"]}")
    assert all(len(raw) <= MEBIBYTE for _, raw in made.values())
    return made


def prepared_cpu_ms(path: str, raw: bytes) -> float:
    """The best of several, alone, by the thread's own clock: time on a core."""
    times = []
    for _ in range(BEST_OF):
        began = time.thread_time()
        try:
            prepare_body(raw, path, MODEL, {})
        except ApiError as error:
            if error.code != "body_too_complex":
                sys.exit(f"{path}: {error.code}, {error.param}")
        times.append(time.thread_time() - began)
    return round(min(times) * 1000, 2)


async def waits(session: aiohttp.ClientSession, url: str) -> list[float]:
    found = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        began = time.perf_counter()
        async with session.get(f"{url}/livez") as answer:
            await answer.read()
        found.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE)
    return found


async def measure(gateway: Peer) -> dict[str, Any]:
    url = f"http://127.0.0.1:{gateway.target.port}"
    headers = {"Authorization": f"Bearer {gateway.target.key}", "Content-Type": "application/json"}
    found: dict[str, Any] = {}
    async with aiohttp.ClientSession() as session:

        async def send(path: str, raw: bytes, statuses: set[int]) -> None:
            while True:
                async with session.post(f"{url}{path}", data=raw, headers=headers) as answer:
                    await answer.read()
                    statuses.add(answer.status)

        await waits(session, url)
        found["nothing"] = {"livez_ms": spread(await waits(session, url))}
        for name, (path, raw) in bodies().items():
            statuses: set[int] = set()
            sending = asyncio.create_task(send(path, raw, statuses))
            found[name] = {
                "kib": len(raw) >> 10,
                "structure": structure(raw),
                "prepared_cpu_ms": prepared_cpu_ms(path, raw),
                "livez_ms": spread(await waits(session, url)),
                "statuses": sorted(statuses),
            }
            sending.cancel()
            await asyncio.wait({sending})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    facts = machine()
    keep_out_of_garbage_collection()  # as the gateway does
    os.sched_setaffinity(0, LOAD_CORES)
    with tempfile.TemporaryDirectory(prefix="bedside-worst-") as directory:
        house = House(Path(directory), SETTINGS)
        with house.mock_engine(), house.gateway() as gateway:
            found = uvloop.run(measure(gateway))
    rows = [
        (name, one.get("kib", ""), one.get("structure", ""), one.get("prepared_cpu_ms", ""),
         one["livez_ms"]["p99"], one["livez_ms"]["max"], one.get("statuses", ""))
        for name, one in found.items()
    ]  # fmt: skip
    for row in rows:
        say("  ".join(map(str, row)))
    good = all(one.get("prepared_cpu_ms", 0.0) <= PROMISED_MS for one in found.values())
    result = {"machine": facts, "promised_ms": PROMISED_MS, "bodies": found, "good": good}
    arguments.results.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    say("good" if good else "NOT good")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
