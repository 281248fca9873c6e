"""The hop to one engine: over its Unix socket, or over a private network with a token.

Tested in tests/inference/gateway/engines/test_call.py.
"""

from __future__ import annotations

import asyncio
import errno
import json
import re
import socket
from contextlib import closing, suppress
from functools import lru_cache

from pydantic import ValidationError

from bedside_inference.gateway.engines.call import Broken, Call
from bedside_inference.gateway.errors import (
    ApiError,
    context_length_exceeded,
    engine_busy,
    engine_failed,
    engine_refused,
    gateway_full,
    not_offered,
)
from bedside_inference.secret import ENGINE_TOKEN, read_secret
from bedside_inference.served import HEADER, ServedModel

PROBE_SECONDS = 2
PAGE_BYTES = 16 << 20
"""Of one of the engine's own pages."""
ERROR_BODY_BYTES = 1 << 16
RESOLVE_SECONDS = 10
"""For which a name is taken to lead to the same addresses."""

NO_FILES = frozenset({errno.EMFILE, errno.ENFILE})
"""Our own trouble, which says nothing of the engine."""

REFUSALS = frozenset(engine_refused.statuses)
"""The engine's statuses that are about the request; any other failure is the engine's own."""

KNOWN_PARAMETERS = frozenset(
    {
        *("model", "messages", "prompt", "input", "instructions", "user"),
        *("stream", "stream_options", "n", "seed", "stop", "logprobs", "top_logprobs"),
        *("max_tokens", "max_completion_tokens", "max_output_tokens", "truncation"),
        *("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty"),
        *("response_format", "text", "tools", "tool_choice", "parallel_tool_calls"),
        *("reasoning", "reasoning_effort", "dimensions", "encoding_format"),
    }
)
"""Names that an error may repeat; any other could be a part of the request's text."""
LIMITS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})
TOO_LONG = LIMITS | {"input_tokens", "input_text"}
"""Parameters of vLLM's refusals of what does not fit into the window: with what is checked before,
a limit of the answer's length can be wrong in no other way."""
TOO_LONG_WORDS = re.compile(r"The engine prompt length \d+ exceeds|Input length \(\d+\) exceeds")
"""How vLLM begins those that do not name one."""


class Unreached(Exception):  # noqa: N818 - no failure of the request, another engine may take it
    """The engine does not work on a request."""

    def __init__(self, *, gone: bool, leaving: ServedModel | None = None) -> None:
        """Tell why.

        Args:
            gone: nobody listens there; otherwise it has no room for a further request.
            leaving: what an engine says that takes none any more: it drains or its model was
                withdrawn.
        """
        super().__init__()
        self.gone, self.leaving = gone, leaving


class Unconnected(Exception):  # noqa: N818 - as Unreached, but a busy machine may be the cause
    """The engine did not take a connection in time."""


class EngineClient:
    """Asks one engine; of a client's headers none goes along."""

    def __init__(self, address: str, connect_seconds: float) -> None:
        """`address`: `http://HOST:PORT` or the path of a Unix socket.

        Raises:
            ConfigError: the token for a network is missing.
        """
        self.address, self.connect_seconds = address, connect_seconds
        self.on_network = not address.startswith("/")
        host = address.removeprefix("http://") if self.on_network else "engine"
        self._head = f"Host: {host}\r\nConnection: close\r\n"
        if self.on_network:
            self._head += f"Authorization: Bearer {read_secret(ENGINE_TOKEN)}\r\n"
            name, _, port = host.rpartition(":")
            self._names = Names(name, int(port))

    async def page(self, path: str) -> tuple[int, ServedModel | None, bytes]:
        """Status, named model and content of one of the engine's own pages.

        Raises:
            Unreached: nobody listens, or we cannot ask.
            Unconnected: nobody takes the connection in time.
            Broken: the answer is none.
            TimeoutError: it does not answer in time.
        """
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                call = await self._call(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode())
        except TimeoutError:
            raise Unconnected from None
        with closing(call):
            async with asyncio.timeout(PROBE_SECONDS):
                await call.begun()
                return call.status, served_by(call), await call.whole(PAGE_BYTES)

    async def ask(self, path: str, body: bytes, request_id: str) -> tuple[Call, ServedModel]:
        """A successful answer whose content is yet to be read, and the model that gives it.

        The caller closes it; done early, that makes vLLM stop generating.

        Raises:
            Unreached: it takes no connection, or no further request; nothing was begun.
            ApiError: it refuses.
            Broken: this is no answer.
        """
        head = (
            f"POST {path} HTTP/1.1\r\n{self._head}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nX-Request-Id: {request_id}\r\n\r\n"
        )
        call = await self._call(head.encode() + body)
        try:
            return call, await _accepted(call)
        except BaseException:
            call.close()
            raise

    async def _call(self, request: bytes) -> Call:
        call = Call(request)
        try:
            if self.on_network:
                async with asyncio.timeout(self.connect_seconds):
                    await self._names.connect(call)
            else:  # the kernel answers at once
                loop = asyncio.get_running_loop()
                await loop.create_unix_connection(lambda: call, self.address)
        except OSError as error:  # TimeoutError is one
            if error.errno in NO_FILES:
                raise gateway_full() from None
            raise Unreached(gone=True) from None
        return call


class Names:
    """The addresses of a host, asked for again after some seconds or when nobody is there."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._addresses: list[str] = []
        self._until = 0.0

    async def connect(self, call: Call) -> None:
        """Connect to the first address that takes it.

        Raises:
            OSError: none does, or there is none.
        """
        loop = asyncio.get_running_loop()
        if loop.time() >= self._until:
            found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            self._addresses = [str(address[0]) for *_, address in found]
            self._until = loop.time() + RESOLVE_SECONDS
        try:
            for address in self._addresses[:-1]:
                with suppress(OSError):
                    await loop.create_connection(lambda: call, address, self.port)
                    return
            await loop.create_connection(lambda: call, self._addresses[-1], self.port)
        except BaseException:
            self._until = 0.0
            raise


def served_by(answer: Call) -> ServedModel | None:
    """The model that the engine names in an answer."""
    return _served(answer.headers.get(HEADER.lower(), ""))


@lru_cache(maxsize=16)
def _served(said: str) -> ServedModel | None:
    try:
        return ServedModel.model_validate_json(said)
    except ValidationError:
        return None


async def _accepted(answer: Call) -> ServedModel:
    await answer.begun()
    if answer.status != 200:
        raise await _refusal(answer)
    served = served_by(answer)
    if served is None:
        raise Broken  # nobody's answer is nothing to pass on
    return served


async def _refusal(answer: Call) -> ApiError | Unreached:
    """The engine's error without its words, which may quote the request.

    Raises:
        Broken: there is no end to it.
    """
    match answer.status:
        case 503:
            served = served_by(answer)
            return Unreached(gone=False, leaving=served if served and served.leaving else None)
        case 404 | 501:
            return not_offered()
        case 429:
            return engine_busy()
        case status if status in REFUSALS:
            said = b""
            while len(said) < ERROR_BODY_BYTES and (piece := await answer.read()):
                said += piece
            return _of_the_request(answer, *_said(said))
        case _:
            return engine_failed()


def _of_the_request(answer: Call, name: str | None, words: str) -> ApiError:
    if answer.status == 400 and (name in TOO_LONG or TOO_LONG_WORDS.match(words)):
        served = served_by(answer)
        return too_long(served.max_model_len if served else None, name if name in LIMITS else None)
    param = name if name in KNOWN_PARAMETERS else None
    about = f" because of {param!r}" if param else ""
    return engine_refused(status=answer.status, param=param, because=about)


def too_long(window: int | None, limit_field: str | None) -> ApiError:
    """The error for what does not fit into the model's window.

    Args:
        window: in tokens, if it is known.
        limit_field: the field that bounds the answer, if that alone is too much.
    """
    if window is None:
        return context_length_exceeded(param=limit_field)
    return context_length_exceeded(param=limit_field, window=f"{window} tokens")


def _said(error_body: bytes) -> tuple[str | None, str]:
    """The parameter and the words of vLLM's error, not for anybody's eyes."""
    try:
        error = json.loads(error_body)["error"]
        name = str(error["param"]).removeprefix("body.").partition(".")[0]
        return name, str(error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, ""
