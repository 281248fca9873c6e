"""The `openai` npm package talks to the gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

CLIENT = Path(__file__).with_name("client.mjs")


@pytest.fixture
def run(gateway, node, node_modules, program, ready):
    """Runs a scenario of client.mjs; what it printed."""

    async def run(scenario: str, key: str = gateway.key) -> Any:
        await ready()
        env = {
            "MODULES": str(node_modules / "x"),
            "URL": f"{gateway.url}/v1",
            "KEY": key,
        }
        async with program(node, CLIENT, scenario, **env) as process:
            output, error = await process.communicate()
        assert process.returncode == 0, error.decode()
        return json.loads(output)

    return run


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("models", ["test"]),
        ("chat", ["Guten Tag", 3]),
        ("stream", ["Guten Tag", 3]),
        ("tools", [{"name": "dose", "arguments": '{"mg": 5}'}, "Guten Tag"]),
        ("schema", {"mg": 5}),
        ("responses", ["Guten Tag", "Guten Tag", 3]),
        ("embeddings", [0.5, -0.5]),
    ],
)
async def test_it_understands(speaking, run, scenario, expected) -> None:
    assert await run(scenario) == expected


async def test_its_errors(speaking, run) -> None:
    found = await run("errors")
    assert [(error["kind"], error["status"], error["code"]) for error in found] == [
        ("AuthenticationError", 401, "invalid_api_key"),
        ("NotFoundError", 404, "model_not_found"),
        ("BadRequestError", 400, "invalid_value"),
    ]


async def test_a_busy_engine(engine, run) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=503)

    engine.script = refuse
    found = await run("failure")
    assert (found["kind"], found["status"]) == ("InternalServerError", 503)
    assert int(found["after"]) > 0


async def test_it_waits_as_long_as_it_is_told(speaking, run, limited_key) -> None:
    found, milliseconds = await run("limit", await limited_key(30))
    assert (found["kind"], found["status"]) == ("RateLimitError", 429)
    assert milliseconds > 1000


async def test_leaving_frees_the_engine(stalling, run) -> None:
    assert await run("abort") == "left"
    await stalling.freed()
