"""What a response of an OpenAI-compatible server means: an answer, or a failure."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

Body = dict[str, Any]

MAX_ANSWER_BYTES = 64 << 20
RETRIED = frozenset({408, 409, 425, 429})
"""Beside 5xx: what may be otherwise the next time."""
ENGINE_FAILED = 502
"""What the gateway tells nobody to try again, since a person waits. Whoever asks thousands of
questions outlives an engine that starts again."""
HOPELESS = frozenset({401, 403, 404, 405, *range(300, 400)})
"""Key, model, route or address are wrong; no request will fare better."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one try gave no answer, and whether and when to try again."""

    reason: str
    """In a word."""
    again: bool = True
    after: float | None = None
    """Seconds that the server asks to wait."""
    status: int | None = None


async def answer_of(response: httpx2.Response) -> Body | Failure:
    """The completion in a response.

    Raises:
        httpx2.RequestError: it breaks off.
    """
    if response.status_code != 200:
        return _refusal(response)
    answer = parsed(await whole(response))
    choices = answer.get("choices")
    return answer if isinstance(choices, list) and choices else Failure("no_completion")


def digest_of(response: httpx2.Response) -> str | None:
    """The digest of the model behind a response of our gateway, or of our engine."""
    named = response.headers.get("X-Bedside-Model")
    if named is None and (served := response.headers.get("X-Bedside-Served")):
        named = parsed(served.encode()).get("model")
    return digest_in(named)


def digest_in(named: object) -> str | None:
    """What is fit to be a digest and a folder's name (a mock engine's is no SHA-256)."""
    fit = isinstance(named, str) and len(named) == 64 and named.replace("-", "").isalnum()
    return str(named) if fit else None


async def whole(response: httpx2.Response) -> bytes:
    """All content.

    Raises:
        httpx2.RequestError: it breaks off or has no end.
    """
    data = bytearray()
    async for piece in response.aiter_bytes():
        data += piece
        if len(data) > MAX_ANSWER_BYTES:
            raise httpx2.ReadError("too long")
    return bytes(data)


def parsed(data: bytes) -> Body:
    """A JSON object; an empty one for anything else, because an error would quote it."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _refusal(response: httpx2.Response) -> Failure:
    # The server's words are not read: they may quote the request.
    status = response.status_code
    told = None if status == ENGINE_FAILED else response.headers.get("x-should-retry")
    again = told == "true" if told in ("true", "false") else status in RETRIED or status >= 500
    after = retry_after(response.headers.get("retry-after", ""))
    return Failure(f"http_{status}", again and status not in HOPELESS, after, status)


def retry_after(text: str) -> float | None:
    """Seconds that a `Retry-After` asks to wait: a number or a date (RFC 9110, section 10.2.3)."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return None if math.isnan(seconds) else max(seconds, 0.0)
