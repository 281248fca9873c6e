"""Passing an answer on as it arrives, for as long as the client waits for it."""

from __future__ import annotations

import asyncio
import json

import aiohttp
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bedside_inference.gateway.engine_client import EngineClient
from bedside_inference.gateway.errors import ApiError, engine_failed
from bedside_inference.gateway.exchange import Exchange, exchange_of

EVENT_STREAM = "text/event-stream"


class EngineAnswer(Response):
    """The engine's answer to one request.

    The client is watched from before the engine is called until the last byte, so leaving at any
    moment ends the call to the engine.
    """

    def __init__(self, engine: EngineClient, path: str, request_body: bytes) -> None:
        super().__init__()
        self.engine, self.path, self.request_body = engine, path, request_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        relay = asyncio.create_task(self._relay(exchange, scope, receive, send))
        gone = asyncio.create_task(_disconnect(receive))
        try:
            await asyncio.wait({relay, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not relay.done():
                exchange.outcome = "client left"
                relay.cancel()
            await asyncio.wait({relay, gone})
        if not relay.cancelled():
            relay.result()

    async def _relay(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        stream = EventStream(send)
        answer: Response | None = None
        try:
            asked = self.engine.ask(self.path, self.request_body, exchange.id)
            async with asked as (found, exchange.served):
                if found.content_type == EVENT_STREAM:
                    await self._stream(found, stream)
                else:
                    answer = Response(await found.read(), media_type=found.content_type)
        except ApiError as error:
            exchange.outcome = error.code
            if stream.begun:
                await stream.fail(error)
                return
            answer = error.response()
        if answer is not None:
            await answer(scope, receive, send)
        else:
            await stream.end()

    @staticmethod
    async def _stream(found: aiohttp.ClientResponse, stream: EventStream) -> None:
        async for chunk in found.content.iter_any():
            await stream.write(chunk)
        if not stream.begun:
            raise engine_failed()


class EventStream:
    """A stream of server-sent events that begins with its first byte.

    Until then the engine may still fail, and the client gets a plain error instead.
    """

    def __init__(self, send: Send) -> None:
        self.send = send
        self.begun = False
        self._tail = b""

    async def write(self, chunk: bytes) -> None:
        """Pass bytes on at once, as they are."""
        if not self.begun:
            self.begun = True
            headers = [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-store"),
                (b"x-accel-buffering", b"no"),
            ]
            await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        self._tail = (self._tail + chunk)[-2:]
        await self.send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def fail(self, error: ApiError) -> None:
        """End with an error event; `[DONE]` is missing then."""
        # An event that the engine left unfinished must not swallow this one.
        gap = b"" if self._tail == b"\n\n" else b"\n\n"
        event = gap + b"data: " + json.dumps(error.body).encode() + b"\n\n"
        await self.send({"type": "http.response.body", "body": event, "more_body": False})

    async def end(self) -> None:
        """End as the engine ended."""
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
