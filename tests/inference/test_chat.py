"""The conversation through the official client, and what it says when it cannot be held."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from bedside_core.errors import BedsideError, ConfigError, InputError
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_inference.chat import API_KEY, ask


@pytest.fixture
def run(home) -> Run:
    return Run("test", "inference", "chat", Registry(home))


async def failure(config, run) -> BedsideError:
    with pytest.raises(BedsideError) as caught:
        await asyncio.to_thread(ask, config, run, "Hallo")
    return caught.value


async def test_tokens_are_printed_as_they_arrive(
    engine, gateway, config, run, monkeypatch, capsys
) -> None:
    go_on = asyncio.Event()

    async def two_words(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("Guten "))
        await go_on.wait()
        await response.write(engine.chunk("Tag") + b"data: [DONE]\n\n")
        return response

    engine.script = two_words
    monkeypatch.setenv(API_KEY, gateway.key)
    conversation = asyncio.create_task(asyncio.to_thread(ask, config, run, None))
    printed = ""
    while "Guten " not in printed:
        printed += capsys.readouterr().out
        await asyncio.sleep(0.02)
    assert "Tag" not in printed
    go_on.set()
    await conversation
    printed += capsys.readouterr().out
    assert printed.startswith("> Mein Blutdruck")
    assert "Guten Tag\n\nmodel test (abababababab, UNPROVEN); " in printed


async def test_no_key(config, run, monkeypatch) -> None:
    monkeypatch.delenv(API_KEY, raising=False)
    error = await failure(config, run)
    assert isinstance(error, ConfigError)
    assert "BEDSIDE_API_KEY is not set" in str(error)


async def test_wrong_key(gateway, config, run, monkeypatch) -> None:
    monkeypatch.setenv(API_KEY, "bsk-wrong")
    error = await failure(config, run)
    assert isinstance(error, ConfigError)
    assert "not a valid key" in str(error)


async def test_no_gateway(config, run, monkeypatch) -> None:
    monkeypatch.setenv(API_KEY, "bsk-any")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    error = await failure(config, run)
    assert isinstance(error, ConfigError)
    assert f"no gateway answers at http://127.0.0.1:{config.gateway.port}" in str(error)


async def test_another_model(engine, gateway, config, run, monkeypatch) -> None:
    monkeypatch.setenv(API_KEY, gateway.key)
    error = await failure(config.model_copy(update={"model_name": "other"}), run)
    assert isinstance(error, InputError)
    assert "404 (model_not_found)" in str(error)


async def test_still_loading(gateway, config, run, monkeypatch) -> None:
    monkeypatch.setenv(API_KEY, gateway.key)
    assert "503 (model_loading)" in str(await failure(config, run))


async def test_broken_answer(engine, gateway, config, run, monkeypatch) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("Guten"))
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.abort()
        return response

    engine.script = break_off
    monkeypatch.setenv(API_KEY, gateway.key)
    assert "broke off (engine_error)" in str(await failure(config, run))
