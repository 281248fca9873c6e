"""Reading request bodies, and making of them what the engine gets.

Tested in tests/inference/gateway/api/test_fields.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from pydantic import ValidationError

from bedside_inference.gateway.api.fields import REQUESTS, ApiRequest, GenerationRequest
from bedside_inference.gateway.api.parsing import parse
from bedside_inference.gateway.api.positions import refusal, wrong
from bedside_inference.gateway.api.structure import require_simple
from bedside_inference.gateway.errors import (
    ApiError,
    body_too_large,
    missing_model,
    unknown_model,
    unsupported_encoding,
    unsupported_media_type,
)

DISCARD_FACTOR = 8
"""How many times the limit is read and thrown away, so that a client that is still writing gets to
read why it is refused."""


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, of at most `limit` bytes, however it is framed.

    Raises:
        ApiError: 413 if it is larger.
        ClientDisconnect: the client left while sending.
    """
    declared = request.headers.get("content-length", "0")
    if int(declared) > limit and "expect" in request.headers:
        raise _too_large(limit)  # a client that asks first has not begun to write
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        elif size > limit * DISCARD_FACTOR:
            break
    if size > limit:
        raise _too_large(limit)
    return b"".join(chunks)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the engine gets for a request, and what the gateway needs to know of it."""

    body: bytes
    stream: bool
    asked_for_usage: bool
    """False: the engine's stream ends with a usage event that the client did not ask for."""
    prompt_bytes: int
    """UTF-8 bytes of all text in it, schemas included; a token is seldom shorter than one."""
    max_tokens: int | None
    """Of one answer; None: as many as the model's window takes."""
    limit_field: str | None
    """Where the client said so; none if it did not."""
    answers: int
    """Generations or embeddings: `n` times the number of prompts."""
    tools: bool
    """The model may call one."""
    parameters: str
    """SHA-256 (hex) of its numbers, booleans and choices from closed lists, as JSON with sorted
    names, no spaces, and whole numbers without a point; no text is part of it."""


def prepare_body(
    raw: bytes, path: str, model_name: str, owned: Mapping[str, str | int]
) -> Prepared:
    """What the engine gets for a request: its declared fields, and the fields that are ours.

    It is made of the validated model, so that nothing undeclared reaches the engine at any depth
    and the engine cannot read it differently. Null is left out, because that is what it means to
    OpenAI and not always to vLLM. A stream of completions is made to end with its usage.

    Args:
        raw: the client's bytes.
        path: the route, a key of `REQUESTS`.
        model_name: the one that is served.
        owned: fields that only the gateway may set; all routes of vLLM 0.32 know `cache_salt`
            and `priority`.

    Raises:
        ApiError: 400 if it is no JSON object, lacks a field, has one of a wrong type or value, or
            one that does not pass; 404 for another model.
    """
    require_simple(raw)
    given = parse(raw)
    model = given.get("model")
    if not isinstance(model, str):
        raise missing_model()
    if model != model_name:
        raise unknown_model()
    try:
        request = REQUESTS[path].model_validate(given)
    except ValidationError as error:
        raise refusal(error, given) from None
    if request.answers > request.MAX_ANSWERS:
        raise wrong(("n",), [f"at most {request.MAX_ANSWERS} times the number of prompts"])
    passed = request.passed()
    settings = {name: value for name, value in passed.items() if isinstance(value, int | float)}
    prompt_bytes = sum(_text_bytes(value) for name, value in passed.items() if name != "model")
    stream = passed.get("stream", False)
    if not stream and passed.pop("stream_options", None):
        raise wrong(("stream_options",), ["left out unless 'stream' is true"])
    asked_for_usage = _tell_usage(request, passed) if stream else True
    return Prepared(
        body=json.dumps(passed | request.FIXED | dict(owned)).encode(),
        stream=stream,
        asked_for_usage=asked_for_usage,
        prompt_bytes=prompt_bytes,
        max_tokens=request.limit,
        limit_field=request.limit_field,
        answers=request.answers,
        tools=isinstance(request, GenerationRequest) and request.chosen_tool is not None,
        parameters=_digest(settings | request.choices),
    )


def _tell_usage(request: ApiRequest, passed: dict[str, Any]) -> bool:
    """Make a stream end with its usage; whether its client asked for that."""
    if "stream_options" not in type(request).model_fields:
        return True
    options: dict[str, bool] = passed.get("stream_options", {})
    asked = options.get("include_usage", False)
    passed["stream_options"] = {"include_usage": True}
    if asked and options.get("continuous_usage_stats"):
        passed["stream_options"]["continuous_usage_stats"] = True
    return asked


def _text_bytes(value: Any) -> int:
    """UTF-8 bytes of all strings, names included; a lone surrogate counts three."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict):
        return sum(_text_bytes(name) + _text_bytes(inner) for name, inner in value.items())
    if isinstance(value, list):
        return sum(map(_text_bytes, value))
    return 0


def _digest(parameters: dict[str, Any]) -> str:
    whole = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in parameters.items()
        if value is not None
    }
    return hashlib.sha256(_canonical(whole).encode()).hexdigest()


def require_json(request: Request) -> None:
    """Check what the body is declared as.

    Raises:
        ApiError: 415 if it is not JSON, or compressed (RFC 9110 section 8.4).
    """
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise unsupported_encoding()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise unsupported_media_type()


def _too_large(limit: int) -> ApiError:
    return body_too_large(limit=f"{limit} bytes")


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
