"""One call of a client that retries is one generation, where a second would not help."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from bedside_inference.config import TimeoutsConfig

CLIENTS = (
    ("openai2", "one_call.py"),
    ("openai3", "one_call.py"),
    ("node", "one_call.mjs"),
)


async def think(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(600)
    raise AssertionError


async def fail(request: web.Request) -> web.StreamResponse:
    return web.json_response({}, status=500)


@pytest.mark.parametrize(("environment", "file"), CLIENTS)
async def test_one_call_is_one_generation(
    config, engine, open_gateway, ready_at, client_command, running, environment, file
) -> None:
    command = client_command(environment, file)
    section = config.gateway.model_copy(update={"timeouts": TimeoutsConfig(answer=0.3)})
    async with open_gateway(config.model_copy(update={"gateway": section})) as gateway:
        await ready_at(gateway)
        for script, code in ((think, "engine_timeout"), (fail, "engine_error")):
            engine.script = script
            engine.bodies.clear()
            env = {"URL": f"{gateway.url}/v1", "KEY": gateway.key}
            async with running(*command, **env) as process:
                output, error = await asyncio.wait_for(process.communicate(), 60)
            assert process.returncode == 0, error.decode()
            assert json.loads(output)["fault"] is None
            assert len(engine.bodies) == 1, code
