"""The mock engine speaks as vLLM does, says that it is none, and forgets a client that left."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mock_answers import ROUTES, WORDS
from mock_engine import DIGEST, MockConfig, MockEngine, running

from bedside_core.errors import ConfigError
from bedside_core.registry.registry import Registry
from bedside_inference.config import EngineConfig, InferenceConfig
from bedside_inference.paths import socket_path
from bedside_inference.secret import make_secrets
from bedside_inference.served import HEADER, ServedModel

CHAT = {"model": "test", "messages": [{"role": "user", "content": "Grüße"}]}
QUICK = MockConfig(first_token_ms=0, inter_token_ms=0)
HANGING = MockConfig(first_token_ms=0, inter_token_ms=3_600_000)
TOKEN_RATE = MockConfig(first_token_ms=60, inter_token_ms=5, tokens=20)
PROGRAM = Path(__file__).parents[2] / "bench" / "mock_engine.py"


def house(**engine: Any) -> InferenceConfig:
    return InferenceConfig(model_name="test", engine=EngineConfig(**engine))


def session_to(config: InferenceConfig, home: Path) -> aiohttp.ClientSession:
    connector = aiohttp.UnixConnector(str(socket_path(config, home)), limit=0)
    return aiohttp.ClientSession("http://engine", connector=connector)


@pytest.fixture
async def engine(home: Path) -> AsyncIterator[MockEngine]:
    async with running(house(), home, QUICK) as found:
        yield found


@pytest.fixture
async def http(engine: MockEngine, home: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with session_to(house(), home) as session:
        yield session


def events(stream: str) -> list[Any]:
    """The JSON of each event but `[DONE]`."""
    return [
        json.loads(line.removeprefix("data: "))
        for line in stream.splitlines()
        if line.startswith("data: ") and line != "data: [DONE]"
    ]


async def until(condition: Any) -> None:
    """Wait for it."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


def value(metrics: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", metrics, re.MULTILINE)
    assert found, name
    return float(found[1])


async def test_every_response_says_that_it_is_a_mock(http) -> None:
    asked = (
        ("GET", "/health", None, 200),
        ("GET", "/metrics", None, 200),
        ("POST", "/v1/chat/completions", CHAT, 200),
        ("POST", "/v1/chat/completions", CHAT | {"stream": True}, 200),
        ("POST", "/v1/chat/completions", [], 400),
        ("GET", "/v1/chat/completions", None, 404),
        ("POST", "/tokenize", {}, 404),
        ("POST", "/health", {}, 404),
    )
    for method, path, body, status in asked:
        async with http.request(method, path, json=body) as answer:
            served = ServedModel.model_validate_json(answer.headers[HEADER])
            assert (answer.status, served.model) == (status, DIGEST)
            assert (served.verdict, served.evidence) == ("UNPROVEN", None)
            assert (served.max_model_len, served.tools) == (house().engine.max_model_len, False)
    assert not re.fullmatch("[0-9a-f]+", DIGEST)


async def test_a_chat_stream_is_vllms_byte_for_byte(http) -> None:
    body = CHAT | {"stream": True, "max_tokens": 2, "stream_options": {"include_usage": True}}
    began = int(time.time())
    async with http.post("/v1/chat/completions", json=body, headers={"X-Request-Id": "7"}) as found:
        assert found.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        text = await found.text()
    created = re.search(r'"created":(\d+)', text)
    assert created and began <= int(created[1]) <= time.time()
    head = (
        'data: {"id":"chatcmpl-7","object":"chat.completion.chunk",'
        f'"created":{created[1]},"model":"test","choices":['
    )
    assert text == (
        head + '{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,'
        '"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null}\n\n'
        + head + f'{{"index":0,"delta":{{"content":"{WORDS[0]}"}},"logprobs":null,'
        '"finish_reason":null,"token_ids":null}]}\n\n'
        + head + f'{{"index":0,"delta":{{"content":"{WORDS[1]}"}},"logprobs":null,'
        '"finish_reason":"length","stop_reason":null,"token_ids":null}]}\n\n'
        + head + '],"usage":{"prompt_tokens":2,"total_tokens":4,"completion_tokens":2}}\n\n'
        "data: [DONE]\n\n"
    )  # fmt: skip


async def test_without_include_usage_no_chunk_has_usage(http) -> None:
    for path in ("/v1/chat/completions", "/v1/completions"):
        async with http.post(path, json={"prompt": "x", "stream": True}) as answer:
            text = await answer.text()
        assert "usage" not in text
        assert text.endswith("data: [DONE]\n\n")
        last = events(text)[-1]["choices"][0]
        assert last["finish_reason"] == "stop"


@pytest.mark.parametrize("path", ROUTES)
async def test_a_stream_has_the_text_and_usage_of_the_whole_answer(http, path) -> None:
    limit = {"max_tokens": 40, "max_output_tokens": 40, "max_completion_tokens": 40}
    body = {"prompt": "x" * 10, "input": None, "messages": None, **limit}
    async with http.post(path, json=body) as answer:
        whole = await answer.json()
    streamed = body | {"stream": True, "stream_options": {"include_usage": True}}
    async with http.post(path, json=streamed) as answer:
        found = events(await answer.text())
    if path == "/v1/responses":
        deltas = [e["delta"] for e in found if e["type"] == "response.output_text.delta"]
        text, usage = whole["output"][0]["content"][0]["text"], found[-1]["response"]["usage"]
        assert [e["sequence_number"] for e in found] == list(range(len(found)))
        assert found[-1]["response"]["output"][0]["content"] == whole["output"][0]["content"]
    else:
        choices = [e["choices"][0] for e in found if e["choices"]]
        deltas = [c["text"] if "text" in c else c["delta"]["content"] for c in choices]
        first = whole["choices"][0]
        text = first["text"] if "text" in first else first["message"]["content"]
        usage = found[-1]["usage"] | {"prompt_tokens_details": None}
        assert usage == {
            "prompt_tokens": 3, "total_tokens": 43, "completion_tokens": 40,
            "prompt_tokens_details": None,
        }  # fmt: skip
    assert "".join(deltas) == text
    assert len(text.split()) == 40
    assert usage == whole["usage"]


async def test_openais_client_understands_every_answer(monkeypatch, home) -> None:
    monkeypatch.setenv("BEDSIDE_SECRETS", str(home))
    make_secrets(Registry(home))
    token = (home / "engine-token").read_text().strip()
    config = house(url=f"http://127.0.0.1:{free_port()}")
    async with (
        running(config, home, QUICK),
        openai.AsyncOpenAI(base_url=f"{config.engine.url}/v1", api_key=token) as client,
    ):
        chat = await client.chat.completions.create(**CHAT)  # type: ignore[call-overload]
        assert chat.choices[0].finish_reason == "stop"
        text = await client.completions.create(model="test", prompt="x", max_tokens=3)
        assert text.usage is not None and text.usage.completion_tokens == 3
        response = await client.responses.create(model="test", input="x", max_output_tokens=4)
        assert response.output_text == "".join(WORDS[:4])
        async with client.responses.stream(model="test", input="x") as stream:
            assert (await stream.get_final_response()).status == "completed"
        vectors = await client.embeddings.create(model="test", input=["a", "b"])
        assert [round(sum(x * x for x in one.embedding), 3) for one in vectors.data] == [1, 1]
        with pytest.raises(openai.NotFoundError):
            await client.completions.create(model="other", prompt="x")


async def test_on_a_network_the_token_is_wanted(monkeypatch, home) -> None:
    monkeypatch.setenv("BEDSIDE_SECRETS", str(home))
    config = house(url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ConfigError, match="no readable secret"):
        async with running(config, home, QUICK):
            pass
    make_secrets(Registry(home))
    token = (home / "engine-token").read_text().strip()
    async with running(config, home, QUICK), aiohttp.ClientSession(config.engine.url) as http:
        for sent in ({}, {"Authorization": token}, {"Authorization": f"Bearer {token}x"}):
            for path in ("/v1/chat/completions", "/v1/embeddings"):
                async with http.post(path, json=CHAT, headers=sent) as answer:
                    assert (answer.status, await answer.read()) == (401, b"")
            async with http.get("/metrics", headers=sent) as answer:
                assert answer.status == 401
        async with http.get("/health") as answer:
            assert answer.status == 200
        right = {"Authorization": f"Bearer {token}"}
        async with http.post("/v1/chat/completions", json=CHAT, headers=right) as answer:
            assert answer.status == 200


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
    | st.fixed_dictionaries(
        {},
        optional={
            name: st.none() | st.integers(-2, 3) | st.text() | st.lists(st.text()) | st.booleans()
            for name in ("model", "messages", "max_tokens", "stream", "stream_options", "input")
        },
    ),
    path=st.sampled_from([*ROUTES, "/v1/embeddings"]),
)
def test_no_body_breaks_it(home, body, path) -> None:
    async def ask() -> None:
        async with running(house(), home, QUICK) as engine, session_to(house(), home) as http:
            async with http.post(path, data=json.dumps(body).encode()) as answer:
                assert answer.status in (200, 400, 404)
                await answer.read()
            assert engine.running == engine.waiting == 0

    asyncio.run(ask())


@pytest.mark.parametrize("raw", [b"", b"\xff", b"{", b"[" * 100_000, b'{"a":1}x'])
async def test_what_is_not_json_is_refused(http, raw) -> None:
    async with http.post("/v1/chat/completions", data=raw) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, 400)


async def test_a_refusal_repeats_nothing_of_the_request(http) -> None:
    for changes in ({"model": "Zebra"}, {"max_tokens": "Zebra"}, {"messages": "Zebra" * 9999}):
        async with http.post("/v1/chat/completions", json=CHAT | changes) as answer:
            assert answer.status in (400, 404)
            assert "Zebra" not in await answer.text()


async def test_tokens_come_at_the_set_pace(home) -> None:
    config = house()
    async with running(config, home, TOKEN_RATE) as engine, session_to(config, home) as http:
        started = time.monotonic()
        async with http.post("/v1/chat/completions", json=CHAT | {"stream": True}) as answer:
            first = time.monotonic() - started
            assert engine.tokens < 20
            await answer.read()
        streamed = time.monotonic() - started
        async with http.post("/v1/chat/completions", json=CHAT) as answer:
            await answer.read()
        whole = time.monotonic() - started - streamed
        assert engine.tokens == engine.iterations == 2 * 20
    assert first >= 0.06
    assert streamed >= 0.06 + 19 * 0.005
    assert whole >= 0.06 + 19 * 0.005


async def test_a_full_engine_lets_wait(home) -> None:
    mock = HANGING.model_copy(update={"max_running": 2})
    config = house()
    async with running(config, home, mock) as engine, session_to(config, home) as http:
        asked = [
            asyncio.create_task(http.post("/v1/chat/completions", json=CHAT)) for _ in range(5)
        ]
        await until(lambda: (engine.running, engine.waiting) == (2, 3))
        async with http.get("/metrics") as answer:
            metrics = await answer.text()
        assert value(metrics, "vllm:num_requests_running") == 2
        assert value(metrics, "vllm:num_requests_waiting") == 3
        for task in asked:
            task.cancel()
        await until(lambda: (engine.running, engine.waiting) == (0, 0))
        assert engine.finished["abort"] == 5


async def test_running_answers_share_the_engines_iterations(home) -> None:
    mock = MockConfig(first_token_ms=0, inter_token_ms=5, tokens=20)
    config = house()
    async with running(config, home, mock) as engine, session_to(config, home) as http:
        changes = [{"stream": number % 2 == 0} for number in range(10)]
        asked = [http.post("/v1/chat/completions", json=CHAT | change) for change in changes]
        for answer in await asyncio.gather(*asked):
            await answer.read()
        assert engine.tokens == 200
        # 10 + 19 if all come at once; 200 if they did not share.
        assert 10 + 19 <= engine.iterations < 200


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_frees_its_place_at_once(home, stream) -> None:
    config = house()
    async with running(config, home, HANGING) as engine, session_to(config, home) as http:
        asked = http.post("/v1/chat/completions", json=CHAT | {"stream": stream})
        task = asyncio.create_task(asked.__aenter__())
        await until(lambda: engine.tokens == 1 and engine.running == 1)
        if stream:
            (await task).close()
        else:
            task.cancel()
        await until(lambda: engine.running == 0)  # the next token was an hour away
        assert engine.finished == {"stop": 0, "length": 0, "abort": 1}


async def test_the_metrics_a_gateway_looks_at(http) -> None:
    for changes in ({"max_tokens": 5}, {"max_tokens": 5, "stream": True}, {}):
        async with http.post("/v1/chat/completions", json=CHAT | changes) as answer:
            await answer.read()
    async with http.get("/metrics") as answer:
        metrics = await answer.text()
    names = (
        "generation_tokens_total",
        "iteration_tokens_total_sum",
        "iteration_tokens_total_count",
    )
    for name in names:
        assert value(metrics, f"vllm:{name}") == 42  # one after the other: no token in a batch
    for reason, count in {"length": 2, "stop": 1, "abort": 0}.items():
        assert f'finished_reason="{reason}",model_name="test"}} {count}.0' in metrics
    assert "vllm:num_requests_running{" in metrics


async def test_a_socket_others_can_reach_is_refused(home) -> None:
    socket_path(house(), home).parent.mkdir(mode=0o755)
    with pytest.raises(ConfigError, match="chmod 700"):
        async with running(house(), home, QUICK):
            pass


@contextmanager
def process(
    config: InferenceConfig, home: Path, mock: MockConfig
) -> Iterator[subprocess.Popen[bytes]]:
    """The program, as an operator runs it."""
    written = home / "config.yaml"
    document = {"name": "test", "inference": config.model_dump(mode="json", exclude_defaults=True)}
    written.write_text(json.dumps(document))
    options = [
        word
        for name, value in mock.model_dump(exclude_defaults=True).items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    with subprocess.Popen(
        [sys.executable, PROGRAM, "--config", written, *options],
        stderr=subprocess.PIPE,
        env={**os.environ, "BEDSIDE_HOME": str(home)},
    ) as started:
        try:
            yield started
        finally:
            started.kill()


async def test_it_warns_and_ends_on_sigterm(home) -> None:
    config = house()
    with process(config, home, HANGING) as serving:
        assert serving.stderr is not None
        line = json.loads(await asyncio.to_thread(serving.stderr.readline))
        assert line["level"] == "warning"
        assert "mock engine" in line["event"]
        async with session_to(config, home) as http:
            stream = await http.post("/v1/chat/completions", json=CHAT | {"stream": True})
            with process(config, home, HANGING) as second:
                assert b"already running" in (await asyncio.to_thread(second.communicate))[1]
            serving.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(serving.wait, 60) == 0
            with pytest.raises(aiohttp.ClientPayloadError):
                await stream.read()
        assert serving.stderr.read() == b""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
