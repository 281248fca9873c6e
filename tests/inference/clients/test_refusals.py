"""What real clients make of refusals, and what of their requests reaches the engine."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from aiohttp import web
from langchain_core.exceptions import ContextOverflowError
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from bedside_inference.config import GatewayConfig

CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "Hallo"}
TOOL = {"type": "function", "function": {"name": "dose", "parameters": {"type": "object"}}}
CANARY = "Frau Mustermann"


@pytest.fixture
async def client(engine, gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    url = f"{gateway.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=gateway.key, max_retries=0) as found:
        yield found


@asynccontextmanager
async def serving(engine, config, open_gateway, **said: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    """A client of a gateway whose engine says this of itself."""
    engine.served = engine.served.model_copy(update=said)
    async with open_gateway(config) as door:
        url = f"{door.url}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key=door.key, max_retries=0) as found:
            yield found


async def refused(asking: Any, code: str) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        await asking
    assert caught.value.code == code
    return caught.value


async def test_an_earlier_answer_comes_back_with_all_that_clients_add(engine, client) -> None:
    answer = (await client.chat.completions.create(model="test", messages=[USER])).choices[0]  # type: ignore[list-item]
    call = {"id": "c", "type": "function", "function": {"name": "dose", "arguments": "{}"}}
    added = {
        "reasoning_content": "so",
        "provider_specific_fields": {"a": CANARY},
        "finish_reason": "stop",
        "tool_calls": [{**call, "index": 0, "parsed": CANARY}],
    }
    turn: Any = [USER, answer.message.model_dump() | added, USER]
    await client.chat.completions.create(
        model="test", messages=turn, reasoning_effort="xhigh", extra_body={"include": []}
    )
    sent = json.loads(engine.bodies[-1])
    assert CANARY not in engine.bodies[-1].decode()
    assert sent["messages"] == [
        USER,
        {"role": "assistant", "content": "Guten Tag", "reasoning": "so", "tool_calls": [call]},
        USER,
    ]
    assert sent.keys() == {"model", "messages", "reasoning_effort", "cache_salt", "priority"}


async def test_load_tools_may_ask_for_usage_all_along(engine, gateway) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    async with gateway.chat(stream=True, stream_options=options) as answer:
        await answer.read()
    assert json.loads(engine.bodies[-1])["stream_options"] == options


async def test_a_longer_answer_than_the_window_never_reaches_the_engine(
    engine, config, open_gateway
) -> None:
    async with serving(engine, config, open_gateway, max_model_len=100) as client:
        for limit in ({"max_tokens": 101}, {"max_tokens": 5, "max_completion_tokens": 101}):
            asking = client.chat.completions.create(model="test", messages=[USER], **limit)  # type: ignore[list-item,call-overload]
            error = await refused(asking, "context_length_exceeded")
            assert (error.status_code, error.param) == (400, [*limit][-1])
            assert "This model's maximum context length is 100 tokens;" in error.message
        asking = client.responses.create(model="test", input="a", max_output_tokens=101)
        assert (await refused(asking, "context_length_exceeded")).param == "max_output_tokens"
        assert not engine.bodies
        await client.chat.completions.create(model="test", messages=[USER], max_tokens=100)  # type: ignore[list-item]


TOO_LONG = [
    ("input_tokens", f"This model's maximum context length is 100 tokens. {CANARY}"),
    ("input_text", CANARY),
    ("max_tokens", "max_tokens must be at least 1, got 0."),
    ("input", "The engine prompt length 100 exceeds the max_model_len 100. Please reduce prompt."),
    (None, "Input length (101) exceeds model's maximum context length (100)."),
]
"""Parameter and words of vLLM 0.32."""


@pytest.mark.parametrize(("param", "words"), TOO_LONG)
async def test_the_engines_own_word_for_too_long(
    engine, config, open_gateway, param, words
) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        error = {"message": words, "type": "BadRequestError", "param": param, "code": 400}
        return web.json_response({"error": error}, status=400)

    engine.script = refuse
    async with serving(engine, config, open_gateway, max_model_len=100) as client:
        asking = client.chat.completions.create(model="test", messages=[USER])  # type: ignore[list-item]
        error = await refused(asking, "context_length_exceeded")
        assert error.status_code == 400
        # What LiteLLM looks for, in lower case.
        assert "this model's maximum context length is 100 tokens" in error.message.lower()
        assert CANARY not in error.message
        assert engine.bodies


async def test_langchain_sees_an_overflow(engine, config, open_gateway) -> None:
    async with serving(engine, config, open_gateway, max_model_len=100) as client:
        chat = ChatOpenAI(
            base_url=str(client.base_url), api_key=SecretStr(client.api_key), model="test",
            max_retries=0, max_tokens=101,  # type: ignore[call-arg]
        )  # fmt: skip
        try:
            with pytest.raises(ContextOverflowError):
                await chat.ainvoke("Hallo")
        finally:
            await chat.root_async_client.close()
            chat.root_client.close()


async def test_another_refusal_of_the_engine_is_no_overflow(engine, client) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        message = f"Bad value. {CANARY} The engine prompt length 5 exceeds"
        error = {"message": message, "param": "reasoning_effort", "code": 400}
        return web.json_response({"error": error}, status=400)

    engine.script = refuse
    asking = client.chat.completions.create(model="test", messages=[USER])  # type: ignore[list-item]
    error = await refused(asking, "engine_refused")
    assert error.param == "reasoning_effort"


async def test_tools_are_not_offered_without_a_parser(engine, config, open_gateway) -> None:
    async with serving(engine, config, open_gateway, tools=False) as client:
        asked: Any = {"model": "test", "messages": [USER], "tools": [TOOL]}
        for choice in ({}, {"tool_choice": "auto"}, {"tool_choice": "required"}):
            asking = client.chat.completions.create(**asked, **choice)
            error = await refused(asking, "tools_not_offered")
            assert (error.status_code, error.param) == (400, "tools")
        assert not engine.bodies
        # None of these asks for a call.
        await client.chat.completions.create(**asked, tool_choice="none")
        await client.chat.completions.create(**asked | {"tools": []}, tool_choice="auto")
        sent = json.loads(engine.bodies[-1])
        assert not sent.keys() & {"tools", "tool_choice"}


async def test_the_engine_that_can_is_asked(engine, second, config, home, open_gateway) -> None:
    """Of two: what is too much for one, or needs a parser, goes to the other."""
    sockets = (str(home / "run" / "engine.sock"), str(home / "run" / "second.sock"))
    two: GatewayConfig = config.gateway.model_copy(update={"engines": sockets})
    second.served = second.served.model_copy(update={"max_model_len": 1000, "tools": True})
    changed = config.model_copy(update={"gateway": two})
    async with serving(engine, changed, open_gateway, max_model_len=100, tools=False) as client:
        for wide in ({"max_tokens": 500}, {"tools": [TOOL]}) * 2:
            await client.chat.completions.create(model="test", messages=[USER], **wide)  # type: ignore[list-item,call-overload]
        assert len(second.bodies) == 4
        assert not engine.bodies
        for _ in range(4):
            [model] = (await client.models.list()).data
            assert model.model_extra == {"max_model_len": 1000}
            await client.chat.completions.create(model="test", messages=[USER])  # type: ignore[list-item]
        assert engine.bodies
        asking = client.chat.completions.create(model="test", messages=[USER], max_tokens=1001)  # type: ignore[list-item]
        await refused(asking, "context_length_exceeded")


async def test_the_position_is_told(engine, client) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "dose", "arguments": {}}}
    turn: Any = [USER] * 3 + [{"role": "assistant", "tool_calls": [call]}]
    asking = client.chat.completions.create(model="test", messages=turn)
    error = await refused(asking, "invalid_value")
    assert error.param == "messages"
    assert "'messages[3].tool_calls[0].function.arguments' must be a string." in error.message
    asking = client.chat.completions.create(model="test", messages=[], extra_body={CANARY: 1})
    error = await refused(asking, "unsupported_field")
    assert "Field 3 of 3 is not taken; what is: frequency_penalty, " in error.message
    assert CANARY not in str(error)
    assert not engine.bodies


BODY = json.dumps({"model": "test", "messages": [USER]}).encode()
BYTES = [
    (BODY, {"Content-Encoding": "identity"}, 200, None),
    (gzip.compress(BODY, mtime=0), {"Content-Encoding": "gzip"}, 415, "unsupported_encoding"),
    (gzip.compress(BODY, mtime=0), {}, 400, "invalid_json"),
    (b"\xef\xbb\xbf" + BODY, {}, 400, "invalid_json"),
]


@pytest.mark.parametrize(("body", "headers", "status", "code"), BYTES)
async def test_how_a_body_is_written(engine, gateway, body, headers, status, code) -> None:
    # What is sent is encoded already.
    async with gateway.session.post(
        f"{gateway.url}{CHAT}", data=body, headers=gateway.authorization | headers
        | {"Content-Type": "application/json"}, compress=None,
    ) as answer:  # fmt: skip
        assert answer.status == status
        said = await answer.json()
        if status != 200:
            assert said["error"]["code"] == code
        if status == 415:
            assert answer.headers["accept-encoding"] == "identity"
