"""What clients get has the form that OpenAI publishes: answers, every event of streams, errors.

The measure is the `openai` package's types, which OpenAI generates from its OpenAPI document: no
member may be missing or of another type. Members beyond them are listed here one by one, so that a
new one is seen. Those types take a null for whatever may be left out; the stricter reading is in
tests/inference/clients/test_types.py.

With BEDSIDE_OPENAI_DOCUMENT, the path of OpenAI's OpenAPI document (`openapi.yaml` of
github.com/openai/openai-openapi), everything must also be valid by its schemas. It is not ours to
copy, and the machines that run this daily reach no network.

The engine's side is recorded: record.py has vLLM's own classes write it.
"""

from __future__ import annotations

import array
import base64
import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from jsonschema import Draft202012Validator, ValidationError
from openai.types import Completion, CreateEmbeddingResponse, ErrorObject, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from bedside_inference.gateway.errors import TABLE

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
WHOLE: dict[str, Any] = {
    CHAT: ChatCompletion,
    "/v1/completions": Completion,
    "/v1/embeddings": CreateEmbeddingResponse,
    RESPONSES: Response,
}
EVENTS: dict[str, Any] = {
    CHAT: ChatCompletionChunk,
    "/v1/completions": Completion,
    RESPONSES: ResponseStreamEvent,
}
RECORDED = json.loads(Path(__file__).with_name("engine_answers.json").read_text())
ANSWERS = [recorded for recorded in RECORDED if "answer" in recorded]
STREAMS = [recorded for recorded in RECORDED if "events" in recorded]

BEYOND = {
    *("choices.stop_reason", "choices.token_ids", "choices.message.reasoning"),
    *("prompt_token_ids", "prompt_text", "choices.prompt_token_ids"),
    *("id", "created", "usage.completion_tokens"),  # these and the next of embeddings
    *("usage.prompt_tokens_details", "usage.completion_tokens_details"),
    *("presence_penalty", "frequency_penalty", "kv_transfer_params", "ec_transfer_params"),
    *("input_messages", "output_messages", "name"),  # `name` of the end of a call's arguments
    "usage.input_tokens_details.input_tokens_per_turn",
    "usage.input_tokens_details.cached_tokens_per_turn",
    "usage.output_tokens_details.tool_output_tokens",
    "usage.output_tokens_details.output_tokens_per_turn",
    "usage.output_tokens_details.tool_output_tokens_per_turn",
}
"""vLLM's own members that pass, below `response.` in events."""

SCHEMAS: dict[Any, str] = {
    ChatCompletion: "CreateChatCompletionResponse",
    ChatCompletionChunk: "CreateChatCompletionStreamResponse",
    Completion: "CreateCompletionResponse",
    CreateEmbeddingResponse: "CreateEmbeddingResponse",
    Response: "Response",
    ResponseStreamEvent: "ResponseStreamEvent",
    Model: "Model",
    ErrorObject: "Error",
}
"""The SDK's types by their names in the document."""

adapter = functools.cache(TypeAdapter)


def check(kind: Any, value: object) -> None:
    """That a value is of the SDK's type, and has nothing more than what is known."""
    found = adapter(kind).validate_json(json.dumps(value), strict=True)
    assert {name.removeprefix("response.") for name in beyond(found)} <= BEYOND
    if document():
        Draft202012Validator(document() | schema_of(kind)).validate(value)


def schema_of(kind: Any) -> dict[str, str]:
    name = SCHEMAS[kind]
    if name not in document()["components"]["schemas"]:
        pytest.skip(f"this version of the document has no {name}")
    return {"$ref": f"#/components/schemas/{name}"}


@functools.cache
def document() -> dict[str, Any]:
    """OpenAI's, or nothing."""
    path = os.environ.get("BEDSIDE_OPENAI_DOCUMENT")
    if not path:
        return {}
    read = yaml.load(Path(path).read_text(encoding="utf-8"), yaml.CSafeLoader)
    return {"components": nullable(read["components"])}


def nullable(schema: Any) -> Any:
    """A schema of OpenAPI 3.0 in the words of JSON Schema, which 3.1 uses."""
    if isinstance(schema, list):
        return [nullable(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: nullable(inner) for name, inner in schema.items() if name != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def beyond(value: object, place: str = "") -> Iterator[str]:
    if isinstance(value, list):
        for inner in value:
            yield from beyond(inner, place)
    elif isinstance(value, BaseModel):
        yield from (place + name for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from beyond(getattr(value, name), f"{place}{name}.")


@pytest.mark.parametrize("version", ["3.0.0", "3.1.0"])
def test_the_document_is_applied(tmp_path, monkeypatch, version) -> None:
    """In this one a model may lack an owner, in the words of either version, but not a date."""
    owner: dict[str, Any] = {"type": ["string", "null"]}
    if version == "3.0.0":
        owner = {"type": "string", "nullable": True}
    model = {"properties": {"owned_by": owner, "created": {"type": "string", "format": "date"}}}
    path = tmp_path / "openapi.yaml"
    path.write_text(json.dumps({"openapi": version, "components": {"schemas": {"Model": model}}}))
    monkeypatch.setenv("BEDSIDE_OPENAI_DOCUMENT", str(path))
    document.cache_clear()
    try:
        validator = Draft202012Validator(document() | schema_of(Model))
        validator.validate({"owned_by": None, "created": "2026-11-22"})
        with pytest.raises(ValidationError, match="5 is not of type 'string'"):
            check(Model, {"id": "a", "object": "model", "owned_by": "bedside", "created": 5})
    finally:
        document.cache_clear()


def plain(path: str, answer: dict[str, Any]) -> dict[str, Any]:
    """An answer or event without what OpenAI's own service writes otherwise than its schemas say.

    Embeddings may be base64 of 32-bit floats; a completion's chunk has no `finish_reason` until the
    last; and of log probabilities in a stream, vLLM leaves out those of a refusal.
    """
    for choice in answer.get("choices", []):
        if path == "/v1/completions":
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        if path == CHAT and answer["object"].endswith(".chunk") and choice.get("logprobs"):
            choice["logprobs"].setdefault("refusal", None)
    for item in answer.get("data", []):
        if isinstance(item["embedding"], str):
            item["embedding"] = array.array("f", base64.b64decode(item["embedding"])).tolist()
    return answer


def events_of(stream: bytes) -> list[dict[str, Any]]:
    """The JSON of each event but `[DONE]`."""
    lines = [line for line in stream.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line[6:]) for line in lines if line != b"data: [DONE]"]


@pytest.mark.parametrize("recorded", ANSWERS, ids=lambda recorded: recorded["name"])
async def test_answers(engine, gateway, recorded) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(recorded["answer"])

    engine.script = answer
    asked = json.dumps(recorded["asked"]).encode()
    async with gateway.post(asked, recorded["path"]) as got:
        assert got.status == 200
        check(WHOLE[recorded["path"]], plain(recorded["path"], await got.json()))


@pytest.mark.parametrize("recorded", STREAMS, ids=lambda recorded: recorded["name"])
async def test_streams(engine, gateway, recorded) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(recorded["events"].encode())
        return response

    engine.script = answer
    asked = json.dumps(recorded["asked"]).encode()
    async with gateway.post(asked, recorded["path"]) as got:
        assert got.status == 200
        stream = await got.content.read()
    sent = recorded["events"].encode()
    if recorded["path"] == RESPONSES:
        assert [bare(event) for event in events_of(stream)] == [bare(e) for e in events_of(sent)]
    else:
        assert stream == engine.marked(sent)
    for event in events_of(stream):
        check(EVENTS[recorded["path"]], plain(recorded["path"], event))


def bare(value: Any) -> Any:
    """Without what is null or empty."""
    if isinstance(value, list):
        return [bare(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {name: bare(inner) for name, inner in value.items() if inner not in (None, [])}


async def test_models(engine, gateway) -> None:
    for path, kind in (("", None), ("/test", Model)):
        url = f"{gateway.url}/v1/models{path}"
        async with gateway.session.get(url, headers=gateway.authorization) as got:
            found = await got.json()
        if kind is None:
            assert set(found) == {"object", "data"}
            assert found["object"] == "list"
            [found] = found["data"]
        check(Model, found)


def check_error(body: object) -> None:
    assert isinstance(body, dict)
    assert list(body) == ["error"]
    assert set(body["error"]) == {"message", "type", "param", "code"}
    check(ErrorObject, body["error"])
    assert body["error"]["code"]


LEAST = b'{"model": "test", "messages": [{"role": "user", "content": "a"}]}'
KEYLESS = {"Authorization": "Bearer bsk-x"}
REFUSED: list[tuple[str, str, bytes, dict[str, str], int]] = [
    ("POST", CHAT, LEAST, KEYLESS, 401),
    ("GET", "/v1/models", b"", KEYLESS, 401),
    ("GET", "/v1/models/other", b"", {}, 404),
    ("POST", CHAT, b'{"model": "other"}', {}, 404),
    ("GET", "/v1/nothing", b"", {}, 404),
    ("GET", CHAT, b"", {}, 405),
    ("POST", CHAT, b" " * 5000, {}, 413),
    ("POST", CHAT, LEAST, {"Content-Type": "text/plain"}, 415),
    ("POST", CHAT, b"{", {}, 400),
    ("POST", CHAT, b'{"model": "test"}', {}, 400),
    ("POST", CHAT, LEAST[:-1] + b', "min_tokens": 1}', {}, 400),
    ("POST", CHAT, LEAST[:-1] + b', "n": 0}', {}, 400),
    ("POST", "/v1/responses", b'{"model": "test", "input": []}', {}, 400),
    ("POST", "/v1/embeddings", b'{"model": "test", "input": [1]}', {}, 400),
]


@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), REFUSED)
async def test_refusals(engine, gateway, method, path, body, headers, status) -> None:
    sent = {**gateway.authorization, "Content-Type": "application/json", **headers}
    url = f"{gateway.url}{path}"
    async with gateway.session.request(method, url, data=body, headers=sent) as got:
        assert got.status == status
        assert got.content_type == "application/json"
        check_error(await got.json())
    assert not engine.bodies


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 501, 503])
async def test_the_engines_refusals(engine, gateway, status) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        error = {"message": "m", "type": "BadRequestError", "param": None, "code": status}
        return web.json_response({"error": error}, status=status)

    engine.script = answer
    async with gateway.post(LEAST) as got:
        assert got.status >= 400
        check_error(await got.json())


async def test_without_an_engine(gateway) -> None:
    async with gateway.post(LEAST) as got:
        assert got.status == 503
        check_error(await got.json())


async def test_a_stream_that_breaks_ends_with_an_error(engine, gateway) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("a"))
        request.transport.close()
        return response

    engine.script = answer
    async with gateway.chat(stream=True) as got:
        *_, last = events_of(await got.content.read())
    check_error(last)


async def test_a_response_that_breaks_ends_with_an_error(engine, gateway) -> None:
    [recorded] = [stream for stream in STREAMS if stream["name"] == "response stream"]
    begun = b"\n\n".join(recorded["events"].encode().split(b"\n\n")[:3]) + b"\n\n"

    async def answer(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(begun)
        request.transport.close()
        return response

    engine.script = answer
    async with gateway.post(json.dumps(recorded["asked"]).encode(), RESPONSES) as got:
        stream = await got.content.read()
    assert b"\n\nevent: error\ndata: {" in stream
    *_, last = events_of(stream)
    check_error({"error": last["error"]})
    assert (last["type"], last["sequence_number"]) == ("error", 3)
    check(ResponseStreamEvent, {n: value for n, value in last.items() if n != "error"})


@pytest.mark.parametrize("refusal", TABLE, ids=lambda refusal: refusal.code)
def test_every_error_there_is(refusal) -> None:
    """Also those that no test above brings about."""
    for status in refusal.statuses:
        error = refusal(status=status, field="model")
        assert "{" not in error.code + error.message
        assert 400 <= error.status < 600
        check_error(error.body)
