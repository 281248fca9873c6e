"""The `openai` Python package talks to the gateway."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from aiohttp import web
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel

ASKED: dict[str, Any] = {"model": "test", "messages": [{"role": "user", "content": "Hallo"}]}
PARAMETERS = {"type": "object", "properties": {"mg": {"type": "number"}}}
FUNCTION = {"name": "dose", "parameters": PARAMETERS}
TOOLS: Any = [{"type": "function", "function": FUNCTION}]


class Dose(BaseModel):
    mg: float


@pytest.fixture
async def client(gateway, ready) -> AsyncIterator[openai.AsyncOpenAI]:
    await ready()
    async with openai.AsyncOpenAI(
        base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0
    ) as client:
        yield client


async def test_models_and_chat(speaking, client) -> None:
    assert [model.id async for model in client.models.list()] == ["test"]
    answer = await client.chat.completions.create(**ASKED)
    assert answer.choices[0].message.content == "Guten Tag"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 3


async def test_the_synchronous_client(speaking, gateway, ready) -> None:
    await ready()

    def talk() -> str | None:
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key) as client:
            return client.chat.completions.create(**ASKED).choices[0].message.content

    assert await asyncio.to_thread(talk) == "Guten Tag"


@pytest.mark.parametrize("usage", [True, False])
async def test_a_stream(speaking, client, usage) -> None:
    options = {"stream_options": {"include_usage": True}} if usage else {}
    stream = await client.chat.completions.create(**ASKED, **options, stream=True)
    chunks = [chunk async for chunk in stream]
    said = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(text or "" for text in said) == "Guten Tag"
    counted = [chunk.usage.total_tokens for chunk in chunks if chunk.usage]
    assert counted == ([3] if usage else [])
    assert all(chunk.choices for chunk in chunks) != usage


@pytest.mark.parametrize("usage", [True, False])
async def test_every_answer_and_every_chunk_names_the_model(speaking, client, usage) -> None:
    """By the hash of its manifest, as the header does."""
    options: Any = {"stream_options": {"include_usage": True}} if usage else {}
    for asking, asked in (
        (client.chat.completions, ASKED),
        (client.completions, {"model": "test", "prompt": "Hallo"}),
    ):
        answer = await asking.with_raw_response.create(**asked)
        digest = answer.headers["x-bedside-model"]
        assert re.fullmatch("[0-9a-f]{64}", digest)
        assert answer.parse().system_fingerprint == digest
        stream = await asking.create(**asked, **options, stream=True)
        assert {chunk.system_fingerprint async for chunk in stream} == {digest}


async def test_the_model_of_other_answers_stands_in_their_header(speaking, client) -> None:
    """OpenAI gives responses and embeddings no fingerprint."""
    for asking, asked in (
        (client.responses, {"input": "Hallo"}),
        (client.embeddings, {"input": "Hallo"}),
    ):
        answer = await asking.with_raw_response.create(model="test", **asked)
        assert re.fullmatch("[0-9a-f]{64}", answer.headers["x-bedside-model"])
        assert "system_fingerprint" not in answer.parse().model_dump()


async def test_a_tool_call_and_back(speaking, client) -> None:
    first = await client.chat.completions.create(**ASKED, tools=TOOLS)
    said = first.choices[0].message
    [call] = said.tool_calls or []
    assert (call.function.name, call.function.arguments) == ("dose", '{"mg": 5}')
    result = {"role": "tool", "tool_call_id": call.id, "content": "5 mg"}
    asked = {**ASKED, "messages": [*ASKED["messages"], said, result], "tools": TOOLS}
    second = await client.chat.completions.create(**asked)
    assert second.choices[0].message.content == "Guten Tag"
    async with client.chat.completions.stream(**ASKED, tools=TOOLS) as stream:
        streamed = await stream.get_final_completion()
    assert streamed.choices[0].message.tool_calls[0].function.arguments == '{"mg": 5}'


async def test_json_of_a_schema(speaking, client) -> None:
    answer = await client.chat.completions.parse(**ASKED, response_format=Dose)
    assert answer.choices[0].message.parsed == Dose(mg=5)


async def test_log_probabilities(engine, client, recorded) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(recorded["chat, log probabilities"]["answer"])

    engine.script = answer
    found = await client.chat.completions.create(**ASKED, logprobs=True, top_logprobs=1)
    assert found.choices[0].logprobs.content[0].top_logprobs[0].logprob == -0.5


async def test_completions_and_embeddings(speaking, client) -> None:
    answer = await client.completions.create(model="test", prompt="a")
    assert answer.choices[0].text == "a"
    stream = await client.completions.create(model="test", prompt="a", stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == "ab"
    found = await client.embeddings.create(model="test", input=["a"])
    assert found.data[0].embedding == [0.5, -0.5]


async def test_responses(speaking, client) -> None:
    answer = await client.responses.create(model="test", input="Hallo", instructions="Kurz.")
    assert answer.output_text == "Guten Tag"
    async with client.responses.stream(model="test", input="Hallo") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert kinds[0] == "response.created"
    assert (kinds[-1], final.output_text) == ("response.completed", "Guten Tag")


async def test_a_response_calls_a_tool_and_goes_on(speaking, client) -> None:
    """Nothing is stored, so what came out goes in again, as OpenAI's guide has it."""
    tools: Any = [{"type": "function", "strict": None, **FUNCTION}]
    turns: list[Any] = [{"role": "user", "content": "Hallo"}]
    first = await client.responses.create(model="test", input=turns, tools=tools)
    [call] = [item for item in first.output if isinstance(item, ResponseFunctionToolCall)]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "5 mg"}
    turns = [*turns, *first.output, result]
    second = await client.responses.create(model="test", input=turns, tools=tools)
    assert second.output_text == "Guten Tag"


async def test_errors(speaking, client) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        await client.with_options(api_key="bsk-x").models.list()
    assert caught.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(**ASKED | {"model": "other"})
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        await client.chat.completions.create(**ASKED, extra_body={"chat_template": "a"})
    assert (wrong.value.code, wrong.value.param) == ("unsupported_field", "chat_template")


async def test_a_model_that_is_not_there_yet(client, engine) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=503)

    engine.script = refuse
    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(**ASKED)
    assert caught.value.status_code == 503
    assert int(caught.value.response.headers["retry-after"]) > 0


async def test_it_waits_as_long_as_it_is_told(speaking, client, limited_key) -> None:
    held = client.with_options(api_key=await limited_key(30))

    async def use_up() -> None:
        for _ in range(300):
            try:
                await held.chat.completions.create(**ASKED)
            except openai.RateLimitError as error:
                # With a shorter wait, the next request might come late enough not to be refused.
                if error.response.headers["retry-after"] == "2":
                    return
        pytest.fail("no limit")

    await use_up()
    begun = time.monotonic()
    await held.with_options(max_retries=1).chat.completions.create(**ASKED)
    assert time.monotonic() - begun > 1


async def test_leaving_frees_the_engine(stalling, client) -> None:
    async with await client.chat.completions.create(**ASKED, stream=True) as stream:
        async for _ in stream:
            break
    await stalling.freed()
