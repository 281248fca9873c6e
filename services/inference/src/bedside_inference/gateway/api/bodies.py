"""Reading request bodies, and making of them what the engine gets.

Tested in tests/inference/gateway/api/test_fields.py.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Never

from fastapi import Request
from pydantic import ValidationError

from bedside_inference.gateway.api.fields import KNOWN_FIELDS, REQUESTS, ApiRequest
from bedside_inference.gateway.errors import (
    ApiError,
    Refusal,
    body_too_large,
    invalid_json,
    invalid_value,
    missing_field,
    missing_model,
    unknown_model,
    unsupported_field,
    unsupported_media_type,
    unsupported_part,
)

DISCARD_FACTOR = 8
"""How many times the limit is read and thrown away, so that a client that is still writing gets to
read why it is refused."""

MAX_NAMES = 1024
"""In one JSON object."""


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
    answers: int
    """Generations or embeddings: `n` times the number of prompts."""
    parameters: str
    """SHA-256 (hex) of its numbers, booleans and choices from closed lists, as JSON with sorted
    names, no spaces, and whole numbers without a point; no text is part of it."""


def prepare_body(
    raw: bytes, path: str, model_name: str, owned: Mapping[str, str | int]
) -> Prepared:
    """What the engine gets for a request: its declared fields, and the fields that are ours.

    It is written anew from what was checked, so that the engine cannot read it differently. A field
    that is null is left out, because that is what null means to OpenAI and not always to vLLM. A
    stream of completions is made to end with its usage.

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
    given = _parse(raw)
    model = given.get("model")
    if not isinstance(model, str):
        raise missing_model()
    if model != model_name:
        raise unknown_model()
    kind = REQUESTS[path]
    try:
        request = kind.model_validate(given)
    except ValidationError as error:
        raise _refusal(error, kind) from None
    if request.answers > kind.MAX_ANSWERS:
        raise _wrong("n")
    passed = {
        name: value
        for name, value in given.items()
        if value is not None and name not in kind.IGNORED
    }
    settings = {name: value for name, value in passed.items() if isinstance(value, int | float)}
    prompt_bytes = sum(_text_bytes(value) for name, value in passed.items() if name != "model")
    options = passed.pop("stream_options", None)
    stream = passed.get("stream", False)
    if options is not None and not stream:
        raise _wrong("stream_options")
    if stream and "stream_options" in kind.model_fields:
        passed["stream_options"] = {"include_usage": True}
        asked_for_usage = bool(options and options.get("include_usage"))
    else:
        asked_for_usage = True
    return Prepared(
        body=json.dumps(passed | kind.FIXED | dict(owned)).encode(),
        stream=stream,
        asked_for_usage=asked_for_usage,
        prompt_bytes=prompt_bytes,
        max_tokens=request.limit,
        answers=request.answers,
        parameters=_digest(settings | request.choices),
    )


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        body = _decode(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise invalid_json() from None
    if not isinstance(body, dict):
        raise invalid_json()
    return body


def _refusal(error: ValidationError, request: type[ApiRequest]) -> ApiError:
    """The first problem, without the value; a union's branches are told apart by their order."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
    field = str(first["loc"][0])
    alone = len(first["loc"]) == 1
    if first["type"] == "extra_forbidden" and alone:
        param = field if field in KNOWN_FIELDS else None
        about = f" ('{param}')" if param else ""
        return unsupported_field(param=param, name=about)
    if first["type"] == "missing" and alone:
        return missing_field(param=field, field=field)
    return _wrong(field, unsupported_part if first["type"] == "extra_forbidden" else invalid_value)


def _wrong(field: str, refusal: Refusal = invalid_value) -> ApiError:
    return refusal(param=field, field=f"'{field}'")


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
    """Check the declared media type.

    Raises:
        ApiError: 415 if it is not JSON.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise unsupported_media_type()


def _too_large(limit: int) -> ApiError:
    return body_too_large(limit=f"{limit} bytes")


def _no_constant(name: str) -> Never:
    raise ValueError(name)  # NaN and the infinities are not JSON (RFC 8259)


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError("larger than a double")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")  # parsers disagree about which one counts
    if len(found) > MAX_NAMES:
        raise ValueError("too many names")  # each that is not declared costs a kilobyte to refuse
    return found


_decode = json.JSONDecoder(
    parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique
).decode
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
