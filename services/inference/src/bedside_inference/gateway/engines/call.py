"""One HTTP/1.1 request to an engine and its answer, on a connection of its own.

The parser is that of Node.js (llhttp, by httptools), the one that uvicorn reads requests with.
There is no more to it on purpose (docs/decisions/0008): no redirects, cookies, proxies, compression
or connections that are used again, each of which could carry one caller's text to another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

SWITCHING_PROTOCOLS, OK = 101, 200
MAX_HEAD_BYTES = 32 << 10
"""Of status line and headers, those of interim answers included, and of trailers."""
UNREAD_BYTES = 64 << 10
"""More is left to the kernel, and so to the engine, until somebody reads."""


class Broken(Exception):  # noqa: N818 - an event of the other side, which every caller translates
    """The engine did not give a whole answer in HTTP/1.1, framed by length or in chunks."""


class Call(asyncio.Protocol):
    """Sends its request once it is connected; then it is awaited and read."""

    def __init__(self, request: bytes) -> None:
        """`request`: all of it; it must say `Connection: close`."""
        self.status = 0
        """0 until all headers are there."""
        self.headers: dict[str, str] = {}
        """By name in lower case; of several with one name the last."""
        self._request = request
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._other_bytes = 0
        self._unread: list[bytes] = []
        self._unread_bytes = 0
        self._paused = self._complete = self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._take: Callable[[bytes], bool] | None = None

    @property
    def content_type(self) -> str:
        """Without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def begun(self) -> None:
        """Wait for the headers.

        Raises:
            Broken: they do not come, or are none.
        """
        while not self.status:
            if self._ended:
                raise Broken
            await self._more()

    async def read(self) -> bytes:
        """What has come of the body since the last time, at least one byte; none at its end.

        Raises:
            Broken: the answer ended before its end.
        """
        while not self._unread:
            if self._complete:
                return b""
            if self._ended:
                raise Broken
            await self._more()
        return self._rest()

    async def pour(self, take: Callable[[bytes], bool]) -> None:
        """Hand over what comes the moment it comes, with no task in between.

        Ends when there is something to read, when the answer has ended as `read` then tells, or
        when `take` says no: it took this piece and must wait before the next.

        Raises:
            Exception: what `take` raises.
        """
        if self._unread or self._complete or self._ended:
            return
        self._take = take
        try:
            await self._more()
        finally:
            self._take = None

    async def whole(self, limit: int) -> bytes:
        """All that is left of the body.

        Raises:
            Broken: the answer ended before its end, or is larger than `limit` bytes.
        """
        pieces, size = [], 0
        while piece := await self.read():
            size += len(piece)
            if size > limit:
                raise Broken
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Cut the connection, which makes vLLM stop generating; nothing comes afterwards."""
        self._ended = True
        self._parser = None  # it refers to this object, and this one must go now
        if self._transport is not None:
            self._transport.abort()

    def _rest(self) -> bytes:
        unread = self._unread
        piece = unread[0] if len(unread) == 1 else b"".join(unread)
        unread.clear()
        self._unread_bytes = 0
        if self._paused and self._transport is not None and not self._ended:
            self._paused = False
            self._transport.resume_reading()
        return piece

    async def _more(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        """There is something to read or to tell; whoever takes it at once need not wake up."""
        waiter, take = self._waiter, self._take
        if waiter is None or waiter.done():
            return
        if take is not None and self._unread:
            try:
                if take(self._rest()) and not (self._complete or self._ended):
                    return
            except Exception as error:  # noqa: BLE001 - raised where it is awaited
                waiter.set_exception(error)
                return
        waiter.set_result(None)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        transport.write(self._request)
        self._request = b""

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            return
        unread = self._unread_bytes
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self.close()
        else:
            if self._unread_bytes == unread:
                # The parser keeps a header, or a trailer, to itself until it is complete.
                self._other_bytes += len(data)
                if self._other_bytes > MAX_HEAD_BYTES:
                    self.close()
            else:
                self._other_bytes = 0
                if self._unread_bytes > UNREAD_BYTES and self._transport and not self._paused:
                    self._paused = True
                    self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.close()
        self._wake()

    # What the parser calls; it ends with HttpParserError if one of these raises.

    def on_message_begin(self) -> None:
        if self._complete:  # whatever else comes answers nothing that was asked
            raise Broken

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # otherwise it is a trailer
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code() if self._parser else 0
        if status == SWITCHING_PROTOCOLS:
            raise Broken
        if status < OK:  # an interim answer (RFC 9110, section 15.2)
            self.headers.clear()
        else:
            self.status = status

    def on_body(self, body: bytes) -> None:
        self._unread.append(body)
        self._unread_bytes += len(body)

    def on_message_complete(self) -> None:
        self._complete = self.status > 0
