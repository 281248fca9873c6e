"""What a body costs is known before anything is made of it, and texts cost nothing."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from bedside_inference.config import GatewayConfig
from bedside_inference.gateway.api import structure as module
from bedside_inference.gateway.api.bodies import prepare_body
from bedside_inference.gateway.api.structure import MAX_STRUCTURE, structure
from bedside_inference.gateway.errors import ApiError

HELD_SECONDS = 0.2
"""Ten times what a body may hold up others."""
MEBIBYTE = 1 << 20
LETTER = 'Befund: {Hb [g/dl]: 12,3; "RR": [120, 80]} \\ \t' * 18_000
"""A text that is nothing but marks, quotes and backslashes."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('a"\\{}[],:ä\n') | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('a"\\{}[],:'), inner),
    max_leaves=40,
)


def marks(value: Any) -> int:
    match value:
        case dict():
            return 1 + max(0, 2 * len(value) - 1) + sum(map(marks, value.values()))
        case list():
            return 1 + max(0, len(value) - 1) + sum(map(marks, value))
    return 0


@given(JSON, st.booleans())
def test_what_stands_in_strings_does_not_count(value, ascii_only) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")).encode()
    enough, module.FEW = module.FEW, 0
    try:
        assert structure(text) == marks(value)
    finally:
        module.FEW = enough


@given(st.binary(max_size=200))
def test_anything_has_a_number(text) -> None:
    assert 0 <= structure(text) <= len(text)


def chat(**changes: Any) -> dict[str, Any]:
    return {"model": "test", "messages": [{"role": "user", "content": "Hallo"}], **changes}


def wide(count: int) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(count)}}


def tool(count: int) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "a", "parameters": wide(count)}}


def called(calls: int) -> dict[str, Any]:
    function = {"name": "a", "arguments": "{}"}
    call = {"id": "1", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call] * calls}


TEXT = {"type": "text", "text": "a"}
WORST: dict[str, tuple[str, dict[str, Any]]] = {
    "messages": ("chat/completions", chat(messages=[{"role": "user", "content": "a"}] * 2048)),
    "parts": ("chat/completions", chat(messages=[{"role": "user", "content": [TEXT] * 64}] * 80)),
    "calls": ("chat/completions", chat(messages=[called(64)] * 28)),
    "tools": ("chat/completions", chat(tools=[tool(40)] * 128)),
    "numbers": ("chat/completions", chat(tools=[{**tool(0), "x": [1] * 30_000}])),
    "inputs": (
        "responses",
        {"model": "test", "input": [{"role": "user", "content": [TEXT | {"type": "input_text"}]}]
         * 2048},
    ),
    "embeddings": ("embeddings", {"model": "test", "input": ["a" * 1000] * 1024}),
    "letter": ("chat/completions", chat(messages=[{"role": "user", "content": LETTER}])),
    "umlauts": ("chat/completions", chat(messages=[{"role": "user", "content": "ä" * 500_000}])),
}  # fmt: skip
"""The worst bodies of a mebibyte that are within the bounds, or nearly so."""


@pytest.mark.parametrize("name", WORST)
def test_real_bodies_have_room(name) -> None:
    assert structure(json.dumps(WORST[name][1]).encode()) <= MAX_STRUCTURE


@pytest.fixture
async def roomy(config, open_gateway):
    gateway = GatewayConfig(**{**config.gateway.model_dump(), "max_body_bytes": MEBIBYTE})
    async with open_gateway(config.model_copy(update={"gateway": gateway})) as door:
        yield door


async def held(work) -> tuple[Any, float]:
    """A result, and the longest that the event loop was away meanwhile."""
    longest, over = 0.0, False

    async def tick() -> None:
        nonlocal longest
        last = time.perf_counter()
        while not over:
            await asyncio.sleep(0.001)
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    found = await work()
    over = True
    await ticking
    return found, longest


@pytest.mark.parametrize("name", WORST)
async def test_no_body_holds_up_the_others(engine, roomy, name) -> None:
    path, body = WORST[name]
    raw = json.dumps(body, ensure_ascii=False).encode()
    assert len(raw) <= MEBIBYTE

    async def ask() -> int:
        async with roomy.post(raw, f"/v1/{path}") as answer:
            await answer.read()
            return int(answer.status)

    times = []
    for _ in range(3):  # a machine that is busy with other things may be away, too
        status, longest = await held(ask)
        assert status == (400 if name == "numbers" else 200)
        times.append(longest)
    assert min(times) < HELD_SECONDS
    async with roomy.session.get(f"{roomy.url}/livez") as answer:
        assert answer.status == 200


@pytest.mark.parametrize("unit", [b"[],", b"{},", b"1,", b'"",', b"1.5,", b'{"a":1},', b'"\\\\",'])
async def test_too_much_structure_is_refused_before_it_is_read(engine, roomy, unit) -> None:
    head = json.dumps(chat()).encode()[:-1] + b',"user":['
    raw = head + (unit * MEBIBYTE)[: MEBIBYTE - len(head) - 2 - len(unit)].rpartition(b",")[0]
    assert json.loads(raw + b"]}")

    async def ask() -> tuple[int, str]:
        async with roomy.post(raw + b"]}") as answer:
            return answer.status, (await answer.json())["error"]["code"]

    times = []
    for _ in range(3):
        found, longest = await held(ask)
        assert found == (400, "body_too_complex")
        times.append(longest)
    assert min(times) < HELD_SECONDS
    assert engine.bodies == []


async def test_a_long_answer_holds_up_nobody(engine, roomy) -> None:
    numbers = random.Random(1)
    vector = [numbers.uniform(-1, 1) for _ in range(1024)]
    told = {"object": "list", "data": [{"embedding": vector}] * 500, "usage": {"prompt_tokens": 7}}
    whole = json.dumps(told).encode()

    async def answer_embeddings(request):
        return web.Response(body=whole, content_type="application/json")

    engine.script = answer_embeddings

    async def ask() -> bytes:
        body = json.dumps({"model": "test", "input": ["a"] * 500}).encode()
        async with roomy.post(body, "/v1/embeddings") as answer:
            return await answer.read()

    times = []
    for _ in range(3):
        found, longest = await held(ask)
        assert found == whole
        times.append(longest)
    assert min(times) < HELD_SECONDS


def test_a_number_of_thousands_of_digits_is_none() -> None:
    raw = json.dumps(chat()).encode()[:-1] + b',"seed":' + b"9" * 4000 + b"}"
    with pytest.raises(ApiError, match="invalid_json"):
        prepare_body(raw, "/v1/chat/completions", "test", {})
