"""uvicorn's HTTP/1.1 protocol with limits on what it lacks: slow and large headers.

Covered: a connection that sends no request, a request line and headers that do not end in time,
more or larger headers than anybody needs, errors in the API's own form for what is no HTTP.
Not covered: how many connections one address may hold; a proxy or firewall in front does that.
"""

from __future__ import annotations

import asyncio
import json
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bedside_inference.gateway.errors import ApiError
from bedside_inference.gateway.relay import ABORT

MAX_HEADER_BYTES = 32 << 10
"""Of request line and headers; tokens of identity providers reach a few KiB."""
MAX_HEADERS = 100


class TooManyHeaders(Exception):  # noqa: N818 - RFC 6585, section 5
    """Ends the parsing of a request."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    HEADER_SECONDS: ClassVar[float] = 10.0
    """For the request line and headers."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._header_bytes = self._header_count = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._begin_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_headers()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = self._header_count = 0
        self._begin_headers()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._end_headers()
        self.scope["extensions"] = {ABORT: {"now": self.transport.abort}}
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Say in the API's form that the parser has given up."""
        if self._header_bytes > MAX_HEADER_BYTES or self._header_count > MAX_HEADERS:
            self._refuse(ApiError(431, "headers_too_large", "The headers are too large."))
        else:
            self._refuse(ApiError(400, "bad_http", "This is not a valid HTTP/1.1 request."))

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES or self._header_count > MAX_HEADERS:
            raise TooManyHeaders

    def _begin_headers(self) -> None:
        self._end_headers()
        self._deadline = self.loop.call_later(self.HEADER_SECONDS, self._late)

    def _end_headers(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._refuse(ApiError(408, "headers_timeout", "The headers did not arrive in time."))

    def _refuse(self, error: ApiError) -> None:
        """Answer outside of any exchange; nobody is known and nothing was asked."""
        body = json.dumps(error.body).encode()
        head = (
            f"HTTP/1.1 {error.status} Refused\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
