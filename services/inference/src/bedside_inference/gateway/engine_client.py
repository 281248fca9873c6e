"""The hop to the engine: over its Unix socket, or over a private network with a token."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from pydantic import ValidationError

from bedside_inference.config import InferenceConfig, socket_path
from bedside_inference.gateway.errors import ApiError, engine_failed, engine_silent, not_ready
from bedside_inference.secret import ENGINE_TOKEN, read_secret
from bedside_inference.served import HEADER, ServedModel

CONNECT_SECONDS = 5
HEALTH_SECONDS = 2
ERROR_BODY_BYTES = 1 << 16

REFUSALS = frozenset({400, 404, 413, 415, 422})
"""The engine's statuses that are about the request; any other failure is the engine's own."""

KNOWN_PARAMETERS = frozenset(
    {
        *("model", "messages", "prompt", "stream", "stream_options", "n", "seed", "stop", "user"),
        *("max_tokens", "max_completion_tokens", "temperature", "top_p", "response_format"),
        *("frequency_penalty", "presence_penalty", "logprobs", "top_logprobs"),
        *("tools", "tool_choice"),
    }
)
"""Names that an error may repeat; any other could be a part of the request's text."""


class EngineClient:
    """Asks the engine; of a client's headers none goes along."""

    def __init__(self, config: InferenceConfig, home: Path) -> None:
        """Find out where the engine is.

        Raises:
            ConfigError: its socket's path is too long, or the token for a network is missing.
        """
        self.url = config.engine.url or "http://engine"
        self.socket = None if config.engine.url else socket_path(config, home)
        self.headers = {}
        if config.engine.url:
            self.headers["Authorization"] = f"Bearer {read_secret(ENGINE_TOKEN)}"
        self.timeout = aiohttp.ClientTimeout(
            total=None, connect=CONNECT_SECONDS, sock_read=config.gateway.read_timeout_seconds
        )
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold the session while the gateway runs."""
        # One connection per request: closing it is how a request is cancelled, a connection within
        # the house costs less than a millisecond, and none can be closed by the engine just before
        # its use.
        connector = (
            aiohttp.UnixConnector(path=str(self.socket), limit=0, force_close=True)
            if self.socket
            else aiohttp.TCPConnector(limit=0, force_close=True)
        )
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=self.timeout,
            headers=self.headers,
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding", "User-Agent"),
            trust_env=False,
        ) as self._session:
            yield

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the engine client is not running")
        return self._session

    async def served(self) -> ServedModel:
        """The model of an engine that says that it is healthy.

        Raises:
            ApiError: 503, there is none.
        """
        timeout = aiohttp.ClientTimeout(total=HEALTH_SECONDS)
        try:
            async with self.session.get(f"{self.url}/health", timeout=timeout) as answer:
                served = served_by(answer)
                if answer.status == 200 and served is not None:
                    return served
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        raise not_ready()

    @asynccontextmanager
    async def ask(
        self, path: str, body: bytes, request_id: str
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, ServedModel]]:
        """A successful answer whose content is yet to be read, and the model that gives it.

        Leaving the block early closes the connection, which makes vLLM stop generating.

        Raises:
            ApiError: the engine cannot be reached, refuses, breaks or falls silent, at any time
                within the block.
        """
        headers = {"Content-Type": "application/json", "X-Request-Id": request_id}
        try:
            async with self.session.post(f"{self.url}{path}", data=body, headers=headers) as answer:
                if answer.status != 200:
                    raise await _refusal(answer)
                served = served_by(answer)
                if served is None:
                    raise engine_failed()  # nobody's answer is nothing to pass on
                yield answer, served
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise not_ready() from None
        except TimeoutError:
            raise engine_silent() from None
        except aiohttp.ClientError:
            raise engine_failed() from None


def served_by(answer: aiohttp.ClientResponse) -> ServedModel | None:
    """The model that the engine names in an answer."""
    try:
        return ServedModel.model_validate_json(answer.headers.get(HEADER, ""))
    except ValidationError:
        return None


async def _refusal(answer: aiohttp.ClientResponse) -> ApiError:
    """The engine's error without its words, which may quote the request."""
    if answer.status == 503:
        return not_ready()
    if answer.status not in REFUSALS:
        return engine_failed()
    param = _parameter(await answer.content.read(ERROR_BODY_BYTES))
    about = f" because of {param!r}" if param else ""
    return ApiError(
        answer.status, "engine_refused", f"The engine refuses this request{about}.", param=param
    )


def _parameter(error_body: bytes) -> str | None:
    try:
        error = json.loads(error_body)["error"]
        name = str(error["param"]).removeprefix("body.").partition(".")[0]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return name if name in KNOWN_PARAMETERS else None
