"""uvicorn's HTTP/1.1 protocol with limits on what it lacks: slow and large headers.

Covered: a connection that sends no request, a request line and headers that do not end in time,
more or larger headers than anybody needs, what comes after a request that was refused early,
clients that do not read, errors in the API's own form for what is no HTTP, a `Host` that is missing
or double (RFC 9112, section 3.2). Trailers are dropped, and of pipelined requests only the first is
answered (RFC 9112, section 9.3.2, has the client send the others again): whoever leaves must be
noticed while that is done. An offer of another protocol is ignored (RFC 9110, section 7.8): Java's
client makes one with its first request.
Not covered: how many connections one address may hold; a proxy or firewall in front does that.

Tested in tests/inference/faults/test_faults_http.py, tests/inference/gateway/test_protocol.py.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any, ClassVar

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bedside_inference.gateway.connection import CONNECTION, Connection
from bedside_inference.gateway.errors import (
    CLOSE,
    ApiError,
    bad_host,
    bad_http,
    gateway_full,
    headers_timeout,
    headers_too_large,
    no_tunnel,
)
from bedside_inference.gateway.exchange import Exchange
from bedside_inference.gateway.seats import Seats

MAX_HEADER_BYTES = 32 << 10
"""Of request line and headers; tokens of identity providers reach a few KiB."""
MAX_HEADERS = 100


PROBES = frozenset({b"/livez", b"/readyz", b"/metrics"})
"""Answered however full it is: who watches must not end a gateway that is only busy."""


class Refused(Exception):  # noqa: N818 - a verdict on the client, not a failure of ours
    """Ends the parsing of a connection."""


class Parser(HttpRequestParser):
    """Reads requests on; the parser beneath stops behind the head of one that offers an upgrade."""

    def __init__(self, protocol: Protocol) -> None:
        super().__init__(protocol)
        # As uvicorn sets it, for the first of pipelined requests.
        self.set_dangerous_leniencies(lenient_data_after_close=True)
        self.protocol = protocol

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        try:
            super().feed_data(data)
        except HttpParserUpgrade as offer:
            self.protocol.read_without_offer(data[offer.args[0] :])


class Protocol(HttpToolsProtocol):
    """One connection."""

    HEADER_SECONDS: ClassVar[float] = 10.0
    """For the request line and headers."""
    TAKE_SECONDS: ClassVar[float] = 60.0
    """For a client to take anything of what was written to it."""

    def __init__(self, seats: Seats, *arguments: Any, **named: Any) -> None:
        """`seats`: of this process; the rest is uvicorn's."""
        super().__init__(*arguments, **named)
        self._seats = seats

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.parser = Parser(self)
        self._seats.enter(self)
        # The kernel's, because what is written last nobody waits for; see tcp(7).
        transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self.TAKE_SECONDS * 1000)
        )
        self._header_bytes = self._header_count = 0
        self._deaf = False
        self._on_lost: Callable[[], None] | None = None
        self._refusal = bad_http()
        self._deadline: asyncio.TimerHandle | None = None
        self._begin_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_headers()
        self._seats.leave(self)
        super().connection_lost(exc)
        if self._on_lost is not None:
            self._on_lost()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._begin_headers()  # with whatever comes between requests
        waiting = self._deadline
        super().data_received(data)
        if waiting is not None and waiting is self._deadline:
            # The parser keeps a header to itself until it is complete.
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self._refuse(headers_too_large())

    def on_message_begin(self) -> None:
        self._unset_keepalive_if_required()  # it may come in one packet with the rest of a body
        if self.cycle is not None and not self.cycle.response_complete:
            self._deaf = True
            raise Refused
        super().on_message_begin()
        self._header_bytes = self._header_count = 0
        self._begin_headers()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        self._count(len(name) + len(value))
        if self._deadline is not None:  # otherwise it is a trailer: nobody has checked it
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.get_method() == b"CONNECT":
            self._refusal = no_tunnel()
            raise Refused
        if self.parser.should_upgrade():
            return  # the same head comes again, without the offer
        self._end_headers()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            self._refusal = bad_host()
            raise Refused
        if self.url not in PROBES and not self._seats.begin(self):
            self._refusal = gateway_full()
            raise Refused
        connection: Connection = self
        self.scope["extensions"] = {CONNECTION: connection}  # type: ignore[dict-item] # ours
        super().on_headers_complete()

    def read_without_offer(self, rest: bytes) -> None:
        """Read a request's head again as if it offered no other protocol, and what follows it."""
        lines = [
            b"%b %b HTTP/%b"
            % (self.parser.get_method(), self.url, self.parser.get_http_version().encode()),
            *(b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"),
        ]
        self.parser = Parser(self)
        self.parser.feed_data(b"\r\n".join((*lines, b"", rest)))

    # What `connection.Connection` promises.

    def watch(self, on_lost: Callable[[], None] | None, /) -> bool:
        self._on_lost = on_lost
        # A large body has paused it, and whoever does not read does not see the client leave.
        self.flow.resume_reading()
        return not self.cycle.disconnected

    def pass_on(self, data: bytes, /) -> bool:
        if not self.transport.is_closing():
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return not self.flow.write_paused

    def abort(self) -> None:
        self.transport.abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        exchange = self.scope.get("bedside")
        known = isinstance(exchange, Exchange) and exchange.principal is not None
        self._seats.rest(self, known=known)
        if self.cycle.more_body:
            self._begin_headers()  # for the rest of a body that nobody waits for

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # it has not begun
        super().on_message_complete()
        if self.cycle.response_complete:  # refused early, and this was the rest of the body
            self._end_headers()
            if not self.transport.is_closing():
                self._unset_keepalive_if_required()
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )

    def send_400_response(self, msg: str) -> None:
        """Say in the API's form why nothing more is read."""
        if self._deaf:
            self.cycle.keep_alive = False
        else:
            self._refuse(self._refusal)

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES or self._header_count > MAX_HEADERS:
            self._refusal = headers_too_large()
            raise Refused

    def _begin_headers(self) -> None:
        self._end_headers()
        if not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.HEADER_SECONDS, self._late)

    def _end_headers(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._refuse(headers_timeout())

    def _refuse(self, error: ApiError) -> None:
        """Answer outside of any exchange; nobody is known and nothing was asked."""
        body = json.dumps(error.body).encode()
        headers = {**(error.headers or {}), **CLOSE}
        said = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = (
            f"HTTP/1.1 {error.status} Refused\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n{said}\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
