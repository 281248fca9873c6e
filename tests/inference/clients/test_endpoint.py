"""The house's own client against the house's own gateway and engines."""

from __future__ import annotations

import pytest
from aiohttp import web
from mock_engine import DIGEST as MOCK_DIGEST
from mock_engine import MockConfig, running

from bedside_core.endpoint.client import Endpoint, connected
from bedside_core.endpoint.config import EndpointConfig
from bedside_core.errors import ConfigError, InputError
from bedside_inference.paths import socket_path

CHAT = "/v1/chat/completions"
QUICK = MockConfig(first_token_ms=0, inter_token_ms=0)


async def answers(endpoint: Endpoint, count: int) -> list[bool]:
    """Whether each answer was there already."""
    bodies = [{"messages": [{"role": "user", "content": f"{n}"}]} for n in range(count)]
    found = [each async for each in endpoint.ask_all(CHAT, bodies, total=count)]
    assert all(each.answer is not None for each in found)
    return [each.cached for each in found]


@pytest.fixture
def asked(gateway, monkeypatch) -> EndpointConfig:
    """The gateway, as a run config names it."""
    monkeypatch.setenv("BEDSIDE_API_KEY", gateway.key)
    return EndpointConfig(address=f"{gateway.url}/v1", model="test")


async def test_gateway_before_a_mock_engine(home, config, open_gateway, monkeypatch) -> None:
    async with running(config, home, QUICK) as engine, open_gateway(config) as door:
        await door.looked()
        monkeypatch.setenv("BEDSIDE_API_KEY", door.key)
        asked = EndpointConfig(address=door.url, model="test")
        for there in (False, True):
            async with connected(asked, home / "answers") as endpoint:
                assert endpoint.peer.digest == MOCK_DIGEST
                assert await answers(endpoint, 20) == [there] * 20
        assert engine is not None


async def test_engine_at_its_socket(home, config) -> None:
    asked = EndpointConfig(address=str(socket_path(config, home)), model="test")
    async with running(config, home, QUICK), connected(asked, home / "answers") as endpoint:
        assert endpoint.peer.digest == MOCK_DIGEST
        assert await answers(endpoint, 5) == [False] * 5


async def test_a_key_with_a_rate_gets_everything_in_the_end(
    engine, gateway, make_key, asked, home, monkeypatch
) -> None:
    monkeypatch.setenv("BEDSIDE_API_KEY", make_key(requests_per_minute=30).secret)
    await gateway.looked()
    async with connected(asked, home / "answers") as endpoint:
        assert await answers(endpoint, 31) == [False] * 31
    assert len(engine.bodies) == 31


async def test_an_engine_that_fails_once(engine, gateway, asked, home) -> None:
    usual = engine.script

    async def fails_once(request: web.Request) -> web.StreamResponse:
        engine.script = usual
        return web.Response(status=500)

    engine.script = fails_once
    async with connected(asked, home / "answers") as endpoint:
        await answers(endpoint, 3)
    assert len(engine.bodies) == 4


async def test_an_engine_with_other_weights(engine, gateway, asked, home, served) -> None:
    async with connected(asked, home / "answers") as endpoint:
        await answers(endpoint, 2)
        engine.served = served.model_copy(update={"model": "cd" * 32})
        with pytest.raises(InputError, match="answers come from model cdcdcdcdcdcd now"):
            await answers(endpoint, 3)


async def test_what_the_gateway_refuses(engine, gateway, asked, home, monkeypatch) -> None:
    async with connected(asked, home / "answers") as endpoint:
        odd = [
            {"messages": [], "no_such_field": 1},
            {"messages": [{"role": "user", "content": "a"}]},
        ]
        found = [each async for each in endpoint.ask_all(CHAT, odd, total=2)]
        assert {each.number: each.reason for each in found} == {0: "http_400", 1: None}
    other = asked.model_copy(update={"model": "other"})
    async with connected(other, home / "answers") as endpoint:
        with pytest.raises(ConfigError, match=r"no model 'other' \(404\)"):
            await answers(endpoint, 1)
    monkeypatch.setenv("BEDSIDE_API_KEY", "bsk-wrong")
    async with connected(asked, home / "answers") as endpoint:
        with pytest.raises(ConfigError, match=r"this key may not ask \(401\)"):
            await endpoint.ask(CHAT, {"messages": [{"role": "user", "content": "b"}]})
