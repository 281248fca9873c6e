"""The hop to one engine: over its Unix socket, or over a private network with a token."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache

import aiohttp
from pydantic import ValidationError

from bedside_inference.gateway.errors import (
    ApiError,
    engine_busy,
    engine_failed,
    not_offered,
)
from bedside_inference.secret import ENGINE_TOKEN, read_secret
from bedside_inference.served import HEADER, ServedModel

LOOK_SECONDS = 2
ERROR_BODY_BYTES = 1 << 16

REFUSALS = frozenset({400, 413, 415, 422})
"""The engine's statuses that are about the request; any other failure is the engine's own."""

KNOWN_PARAMETERS = frozenset(
    {
        *("model", "messages", "prompt", "stream", "stream_options", "n", "seed", "stop", "user"),
        *("max_tokens", "max_completion_tokens", "temperature", "top_p", "response_format"),
        *("frequency_penalty", "presence_penalty", "logprobs", "top_logprobs"),
        *("tools", "tool_choice", "input", "instructions", "max_output_tokens", "text"),
        *("dimensions", "encoding_format"),
    }
)
"""Names that an error may repeat; any other could be a part of the request's text."""


class Unreached(Exception):  # noqa: N818 - no failure of the request, another engine may take it
    """The engine has not begun to work on a request."""

    def __init__(self, *, gone: bool) -> None:
        """`gone`: nobody listens there; otherwise it takes no further request."""
        super().__init__()
        self.gone = gone


class EngineClient:
    """Asks one engine; of a client's headers none goes along."""

    def __init__(self, address: str, connect_seconds: float) -> None:
        """`address`: `http://HOST:PORT` or the path of a Unix socket.

        Raises:
            ConfigError: the token for a network is missing.
        """
        self.address = address
        self.on_network = not address.startswith("/")
        self.url = address if self.on_network else "http://engine"
        self.headers = {}
        if self.on_network:
            self.headers["Authorization"] = f"Bearer {read_secret(ENGINE_TOKEN)}"
        # How long an answer may take is decided where it is passed on.
        self.timeout = aiohttp.ClientTimeout(total=None, connect=connect_seconds)
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold the session while the gateway runs."""
        # One connection per request: closing it is how a request is cancelled, and nothing that an
        # engine writes too late can be taken for the answer to somebody else.
        connector = (
            aiohttp.TCPConnector(limit=0, force_close=True)
            if self.on_network
            else aiohttp.UnixConnector(path=self.address, limit=0, force_close=True)
        )
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=self.timeout,
            headers=self.headers,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept-Encoding", "User-Agent"),
            trust_env=False,
        ) as self._session:
            yield

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the engine client is not running")
        return self._session

    async def look(self, path: str) -> tuple[int, ServedModel | None, bytes]:
        """Status, named model and content of one of the engine's own pages.

        Raises:
            OSError, aiohttp.ClientError, TimeoutError: it does not answer.
        """
        timeout = aiohttp.ClientTimeout(total=LOOK_SECONDS)
        async with self.session.get(
            f"{self.url}{path}", timeout=timeout, allow_redirects=False
        ) as answer:
            return answer.status, served_by(answer), await answer.read()

    @asynccontextmanager
    async def ask(
        self, path: str, body: bytes, request_id: str
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, ServedModel]]:
        """A successful answer whose content is yet to be read, and the model that gives it.

        Leaving the block early closes the connection, which makes vLLM stop generating.

        Raises:
            Unreached: it takes no connection, or no further request; nothing was begun.
            ApiError: it refuses or breaks, at any time within the block.
        """
        headers = {"Content-Type": "application/json", "X-Request-Id": request_id}
        try:
            async with self.session.post(
                f"{self.url}{path}", data=body, headers=headers, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise await _refusal(answer)
                served = served_by(answer)
                if served is None:
                    raise engine_failed()  # nobody's answer is nothing to pass on
                yield answer, served
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise Unreached(gone=True) from None
        except (aiohttp.ClientError, TimeoutError):
            raise engine_failed() from None


def served_by(answer: aiohttp.ClientResponse) -> ServedModel | None:
    """The model that the engine names in an answer."""
    return _served(answer.headers.get(HEADER, ""))


@lru_cache(maxsize=16)
def _served(said: str) -> ServedModel | None:
    try:
        return ServedModel.model_validate_json(said)
    except ValidationError:
        return None


async def _refusal(answer: aiohttp.ClientResponse) -> ApiError | Unreached:
    """The engine's error without its words, which may quote the request."""
    match answer.status:
        case 503:
            return Unreached(gone=False)
        case 404 | 501:
            return not_offered()
        case 429:
            return engine_busy()
        case status if status in REFUSALS:
            param = _parameter(await answer.content.read(ERROR_BODY_BYTES))
            about = f" because of {param!r}" if param else ""
            message = f"The engine refuses this request{about}."
            return ApiError(status, "engine_refused", message, param=param)
        case _:
            return engine_failed()


def _parameter(error_body: bytes) -> str | None:
    try:
        error = json.loads(error_body)["error"]
        name = str(error["param"]).removeprefix("body.").partition(".")[0]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return name if name in KNOWN_PARAMETERS else None
