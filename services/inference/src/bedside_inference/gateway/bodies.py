"""Reading request bodies, and making of them what the engine gets."""

from __future__ import annotations

import json
from typing import Any, Never

from fastapi import Request
from pydantic import ValidationError

from bedside_inference.gateway.errors import ApiError, unknown_model
from bedside_inference.gateway.fields import REQUESTS, VENDOR_FIELDS, GenerationRequest

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


def prepare_body(raw: bytes, path: str, model_name: str, salt: str) -> bytes:
    """What the engine gets for a request: its declared fields, and the fields that are ours.

    It is written anew from what was checked, so that the engine cannot read it differently.

    Args:
        raw: the client's bytes.
        path: the route, a key of `REQUESTS`.
        model_name: the one that is served.
        salt: keeps the engine's prefix cache apart per key: answers that come faster because
            somebody else asked the same would tell so (vLLM's `cache_salt`).

    Raises:
        ApiError: 400 if it is no JSON object, lacks a field, has one of a wrong type or value, or
            one that does not pass; 404 for another model.
    """
    body = _parse(raw)
    model = body.get("model")
    if not isinstance(model, str):
        raise ApiError(400, "missing_model", "'model' must be given, as a string.", param="model")
    if model != model_name:
        raise unknown_model()
    request = REQUESTS[path]
    try:
        request.model_validate(body)
    except ValidationError as error:
        raise _refusal(error, request) from None
    passed = {name: value for name, value in body.items() if name not in request.IGNORED}
    return json.dumps(passed | {"cache_salt": salt}).encode()


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(
            raw.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_unique
        )
        if not isinstance(body, dict):
            raise ApiError(400, "invalid_json", "The body must be a JSON object.")
        # A number too large for a double has become an infinity by now.
        json.dumps(body, allow_nan=False)
    except (ValueError, RecursionError):
        raise ApiError(400, "invalid_json", "The body is not valid JSON in UTF-8.") from None
    return body


def _refusal(error: ValidationError, request: type[GenerationRequest]) -> ApiError:
    """The first problem, without the value; a union's branches are told apart by their order."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
    field = str(first["loc"][0])
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        param = field if field in VENDOR_FIELDS else None
        about = f" ('{param}')" if param else ""
        message = f"A field{about} is not among those that this route takes."
        return ApiError(400, "unsupported_field", message, param=param)
    param = field if field in request.model_fields else None
    if first["type"] == "missing" and len(first["loc"]) == 1:
        return ApiError(400, f"missing_{param}", f"'{param}' must be given.", param=param)
    code = "unsupported_field" if first["type"] == "extra_forbidden" else "invalid_value"
    message = f"'{param}' has a type, a value or a part that this route does not take."
    return ApiError(400, code, message, param=param)


def require_json(request: Request) -> None:
    """Check the declared media type.

    Raises:
        ApiError: 415 if it is not JSON.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ApiError(415, "unsupported_media_type", "Send the body as application/json.")


def _too_large(limit: int) -> ApiError:
    # Closing, because the rest of the body is not read.
    message = f"The body is larger than {limit} bytes."
    return ApiError(413, "body_too_large", message, headers={"Connection": "close"})


def _no_constant(name: str) -> Never:
    raise ValueError(name)  # NaN and the infinities are not JSON (RFC 8259)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")  # parsers disagree about which one counts
    return found
