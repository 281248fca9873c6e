"""What vLLM itself says through the gateway: the API, cancellation, and the audit of all of it."""

from __future__ import annotations

import asyncio
import json
import re
import time

import aiohttp
import openai
import pytest

MODEL = "bedside-demo"
HELLO = [{"role": "user", "content": "Guten Tag!"}]
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
LONG = {
    "/v1/chat/completions": {"messages": HELLO, "max_tokens": 900},
    "/v1/completions": {"prompt": "Es war einmal", "max_tokens": 900},
    "/v1/responses": {"input": "Erzähle eine lange Geschichte.", "max_output_tokens": 900},
}
IN_ENGINE = re.compile(r"^vllm:num_requests_(?:running|waiting)\{[^}]*\} (\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def client(served):
    with openai.OpenAI(base_url=f"{served.address}/v1", api_key=served.key, max_retries=0) as found:
        yield found


def test_answers_carry_the_manifest(client, registry) -> None:
    answer = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=HELLO, max_tokens=4, logprobs=True, top_logprobs=2
    )
    said = answer.parse()
    digest = registry.current().model
    assert said.system_fingerprint == answer.headers["x-bedside-model"] == digest
    assert answer.headers["x-bedside-verdict"] == "PROMOTE"
    assert len(said.choices[0].logprobs.content) == said.usage.completion_tokens == 4


def test_streams_carry_the_manifest_and_usage_for_those_who_ask(client, registry) -> None:
    def chunks(**options) -> list:
        asked = {"model": MODEL, "messages": HELLO, "max_tokens": 4, "stream": True, **options}
        return list(client.chat.completions.create(**asked))

    assert all(chunk.usage is None and chunk.choices for chunk in chunks())
    asking = chunks(stream_options={"include_usage": True})
    last = asking[-1]
    assert {chunk.system_fingerprint for chunk in asking} == {registry.current().model}
    assert (last.choices, last.usage.completion_tokens) == ([], 4)


def test_responses(client) -> None:
    asked = {"model": MODEL, "input": "Guten Tag!", "max_output_tokens": 4}
    whole = client.responses.create(**asked)
    assert whole.usage.output_tokens == 4
    kinds = [event.type for event in client.responses.create(**asked, stream=True)]
    assert kinds[0] == "response.created"
    assert kinds.count("response.output_text.delta") >= 2
    assert kinds[-1] == "response.completed"


def test_an_answer_follows_its_schema(client) -> None:
    schema = {"name": "person", "schema": PERSON}
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Name und Alter?"}],
        max_tokens=64,
        temperature=0,
        response_format={"type": "json_schema", "json_schema": schema},
    )
    person = json.loads(answer.choices[0].message.content)
    assert set(person) == {"name", "age"}
    assert isinstance(person["age"], int)


def test_a_tool_is_called(client) -> None:
    function = {"name": "look_up", "parameters": PERSON, "strict": True}
    tool = {"type": "function", "function": function}
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Suche Anna, 30 Jahre."}],
        max_tokens=96,
        temperature=0,
        tools=[tool],
        tool_choice="required",
    )
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "look_up"
    assert set(json.loads(call.function.arguments)) == {"name", "age"}


def test_what_the_engine_does_not_offer(client) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model=MODEL, input="x")
    assert caught.value.code == "not_offered"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("path", LONG)
async def test_leaving_frees_vllm_at_once(served, home, path: str, stream: bool) -> None:
    connector = aiohttp.UnixConnector(path=str(home / "run" / "engine.sock"))
    key = {"Authorization": f"Bearer {served.key}"}
    async with (
        aiohttp.ClientSession(connector=connector) as engine,
        aiohttp.ClientSession(headers=key) as door,
    ):

        async def running() -> float:
            async with engine.get("http://engine/metrics") as page:
                return sum(float(value) for value in IN_ENGINE.findall(await page.text()))

        body = {"model": MODEL, "stream": stream, **LONG[path]}
        asking = asyncio.create_task(door.post(f"{served.address}{path}", json=body).__aenter__())
        async with asyncio.timeout(60):
            while not await running():
                await asyncio.sleep(0.01)
        if stream:
            answer = await asking
            await answer.content.readany()
            answer.close()
        else:
            asking.cancel()
        left = time.monotonic()
        while await running():
            await asyncio.sleep(0.01)
        seconds = time.monotonic() - left
        print(f"{path}: vLLM was free after {seconds:.2f} s")
        assert seconds < 20


def test_every_request_is_on_record(bedside, home) -> None:
    config = ("--config", "configs/demo.yaml")
    done = bedside("inference", "inference", "audit", "verify", *config)
    assert done.returncode == 0, done.stderr
    assert "the audit log is whole" in done.stdout
    exported = bedside("inference", "inference", "audit", "export", "fhir", *config)
    outcomes = [json.loads(line)["outcomeDesc"] for line in exported.stdout.splitlines()]
    assert outcomes.count("client_left") >= len(LONG) * 2
    assert "answered" in outcomes
    segments = (home / "gateway" / "audit").glob("segment-*.jsonl")
    text = "".join(path.read_text() for path in segments)
    assert "Geschichte" not in text
