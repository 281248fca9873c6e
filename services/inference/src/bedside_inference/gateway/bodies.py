"""Reading and checking request bodies; what is passed on are the bytes that came."""

from __future__ import annotations

import json
from typing import Never

from fastapi import Request

from bedside_inference.gateway.errors import ApiError

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


def check_body(raw: bytes, model_name: str) -> None:
    """Check what the gateway itself relies on; the engine checks the rest.

    Raises:
        ApiError: 400 if it is no JSON object or a field has the wrong type, 404 for another model.
    """
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ApiError(400, "invalid_json", "The body is not valid JSON in UTF-8.") from None
    if not isinstance(body, dict):
        raise ApiError(400, "invalid_json", "The body must be a JSON object.")
    model = body.get("model")
    if not isinstance(model, str):
        raise ApiError(400, "missing_model", "'model' must be given, as a string.", param="model")
    if model != model_name:
        raise ApiError(
            404,
            "model_not_found",
            "This model is not served here; GET /v1/models lists what is.",
            param="model",
        )
    if not isinstance(body.get("stream"), bool | None):
        raise ApiError(400, "invalid_type", "'stream' must be true or false.", param="stream")


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
