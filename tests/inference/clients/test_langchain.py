"""LangChain's client for OpenAI talks to the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import openai
import pytest
from aiohttp import web
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr


class Dose(BaseModel):
    """How much to give."""

    mg: float


@pytest.fixture
async def make_chat(gateway, ready) -> AsyncIterator[Callable[..., ChatOpenAI]]:
    """Makes clients; they leave it to others to close their connections."""
    await ready()
    made: list[ChatOpenAI] = []

    def make(key: str = gateway.key, **options: Any) -> ChatOpenAI:
        url = f"{gateway.url}/v1"
        fixed = {"base_url": url, "api_key": SecretStr(key), "model": "test", "max_retries": 0}
        made.append(ChatOpenAI(**fixed, **options))
        return made[-1]

    yield make
    for chat in made:
        await chat.root_async_client.close()
        chat.root_client.close()


@pytest.fixture
def chat(make_chat) -> ChatOpenAI:
    return make_chat()


async def test_models(speaking, chat) -> None:
    assert [model.id async for model in chat.root_async_client.models.list()] == ["test"]


async def test_chat(speaking, chat) -> None:
    answer = await chat.ainvoke("Hallo")
    assert answer.content == "Guten Tag"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 3
    assert (await asyncio.to_thread(chat.invoke, "Hallo")).content == "Guten Tag"


async def test_a_stream_with_usage(speaking, make_chat) -> None:
    chunks = [chunk async for chunk in make_chat(stream_usage=True).astream("Hallo")]
    assert "".join(str(chunk.content) for chunk in chunks) == "Guten Tag"
    counted = [chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata]
    assert sum(counted) == 3


async def test_a_tool_call_and_back(speaking, chat) -> None:
    bound = chat.bind_tools([{"name": "dose", "description": "d", "parameters": {}}])
    asked = HumanMessage("Hallo")
    said = await bound.ainvoke([asked])
    [call] = said.tool_calls
    assert (call["name"], call["args"]) == ("dose", {"mg": 5})
    answer = await bound.ainvoke([asked, said, ToolMessage("5 mg", tool_call_id=call["id"])])
    assert answer.content == "Guten Tag"


async def test_json_of_a_schema(speaking, chat) -> None:
    assert await chat.with_structured_output(Dose).ainvoke("Hallo") == Dose(mg=5)


async def test_responses(speaking, make_chat) -> None:
    assert (await make_chat(use_responses_api=True).ainvoke("Hallo")).text == "Guten Tag"


async def test_embeddings(speaking, gateway, chat) -> None:
    embeddings = OpenAIEmbeddings(
        model="test",
        api_key=SecretStr(gateway.key),
        async_client=chat.root_async_client.embeddings,
        client=chat.root_client.embeddings,
        # Otherwise it would send the tokens of an OpenAI model.
        check_embedding_ctx_length=False,
    )
    assert await embeddings.aembed_query("a") == [0.5, -0.5]


async def test_errors(speaking, make_chat) -> None:
    with pytest.raises(openai.AuthenticationError):
        await make_chat("bsk-x").ainvoke("Hallo")


async def test_a_busy_engine(engine, chat) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=503)

    engine.script = refuse
    with pytest.raises(openai.InternalServerError) as caught:
        await chat.ainvoke("Hallo")
    assert caught.value.status_code == 503


async def test_a_limit(speaking, make_chat, limited_key) -> None:
    chat = make_chat(await limited_key(2))
    for _ in range(2):
        await chat.ainvoke("Hallo")
    with pytest.raises(openai.RateLimitError):
        await chat.ainvoke("Hallo")


async def test_leaving_frees_the_engine(stalling, chat) -> None:
    async with aclosing(chat.astream("Hallo")) as stream:
        async for _ in stream:
            break
    await stalling.freed()
