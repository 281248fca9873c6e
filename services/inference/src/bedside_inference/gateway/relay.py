"""Passing an answer on as it arrives, for as long as the client waits for it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from bedside_inference.audit.record import CUT_OFF
from bedside_inference.config import TimeoutsConfig
from bedside_inference.gateway.api.answers import RESPONSES
from bedside_inference.gateway.api.bodies import Prepared
from bedside_inference.gateway.api.events import Events, whole_answer
from bedside_inference.gateway.aside import SMALL_BYTES, aside
from bedside_inference.gateway.connection import Connection, connection_of
from bedside_inference.gateway.deadline import Deadline
from bedside_inference.gateway.dispatch import Dispatch
from bedside_inference.gateway.engines.call import Call
from bedside_inference.gateway.engines.monitor import Monitor
from bedside_inference.gateway.errors import (
    ApiError,
    client_stalled,
    engine_failed,
    engine_silent,
    outcome,
)
from bedside_inference.gateway.exchange import Exchange, exchange_of, refused

EVENT_STREAM = "text/event-stream"
MAX_ANSWER_BYTES = 256 << 20
"""Of an answer in one piece: a thousand embeddings have about 80 MiB."""
PIECE_BYTES = 64 << 10
"""What a client must take at a time."""


class EngineAnswer(Response):
    """The engine's answer to one request.

    The client is watched from before it waits for a place until the last byte, so leaving at any
    moment gives the place back and ends the call to the engine.
    """

    def __init__(
        self, dispatch: Dispatch, timeouts: TimeoutsConfig, path: str, request: Prepared
    ) -> None:
        super().__init__()
        self.dispatch, self.timeouts = dispatch, timeouts
        self.path, self.request = path, request
        self.deadline = Deadline()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        exchange.phase = "queued"
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in one

        def leave() -> None:
            exchange.left = True
            task.cancel()

        # Not through `receive`, which would take two more tasks per request.
        connection = connection_of(scope)
        if not connection.watch(leave):
            exchange.left = True
            return
        try:
            await self._relay(exchange, connection, scope, receive, send)
        except asyncio.CancelledError:
            if not exchange.left:
                exchange.record.outcome = CUT_OFF
                raise
            task.uncancel()
        finally:
            connection.watch(None)

    def stop(self, error: ApiError) -> None:
        """End it: the house has stopped its model or revoked its key."""
        self.deadline.end(error)

    async def _relay(
        self,
        exchange: Exchange,
        connection: Connection,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        write = self.timeouts.write
        stream = EventStream(connection, send)
        failure: ApiError | None = None
        answer: Response | None = None
        found = await outcome(self._answer(exchange, stream))
        if isinstance(found, ApiError):
            failure = found
        else:
            answer = found
        if stream.complete:
            failure = None
        if failure is not None:
            refused(exchange, failure)
            answer = None if stream.begun else failure.response()
        try:
            # The place is free again, whether or not the client takes the rest.
            late = failure is not None and failure.refusal is client_stalled
            async with asyncio.timeout(0 if late else write) as patience:
                if answer is not None:

                    async def send_piece(message: Message) -> None:
                        patience.reschedule(asyncio.get_running_loop().time() + write)
                        await send(message)

                    await answer(scope, receive, send_piece)
                elif failure is not None:
                    await stream.fail(failure, self.path)
                else:
                    await stream.end()
        except TimeoutError:
            refused(exchange, client_stalled())
            connection.abort()

    async def _answer(self, exchange: Exchange, stream: EventStream) -> Response | None:
        """The engine's answer in one piece; none for a stream, which is passed on by now.

        Raises:
            ApiError: there is none, or not all of it.
        """
        async with self.deadline, self.dispatch.place(exchange, self.request) as candidates:
            return await self._ask(exchange, candidates, stream)

    async def _ask(
        self, exchange: Exchange, candidates: list[Monitor], stream: EventStream
    ) -> Response | None:
        timeouts = self.timeouts
        if self.request.stream:
            exchange.phase = "before_first_byte"
            self.deadline.allow(timeouts.first_token, engine_silent())
        else:
            exchange.phase = "not_streaming"
            self.deadline.allow(timeouts.answer, engine_silent())
        answering = self.dispatch.fleet.ask(
            candidates, self.path, self.request.body, exchange.record.request_id
        )
        live = self.dispatch.live(
            self.stop, candidates, exchange.principal, stream=self.request.stream
        )
        with live:
            async with answering as (found, exchange.served, engine):
                if (found.content_type == EVENT_STREAM) != self.request.stream:
                    raise engine_failed()
                if self.request.stream:
                    await self._stream(found, stream, exchange, engine, exchange.served.model)
                    return None
                body = await found.whole(MAX_ANSWER_BYTES)
        reading = (self.path, body, exchange.usage, exchange.served.model)
        if len(body) <= SMALL_BYTES:
            body = whole_answer(*reading)
        else:
            body = await aside(whole_answer, *reading)
        return WholeAnswer(body, media_type="application/json")

    async def _stream(
        self,
        found: Call,
        stream: EventStream,
        exchange: Exchange,
        engine: Monitor,
        model: str,
    ) -> None:
        timeouts = self.timeouts
        silent, stalled = engine_silent(), client_stalled()
        events = Events(self.path, exchange.usage, model, keep_usage=self.request.asked_for_usage)

        def pass_on(chunk: bytes) -> bool:
            passing = events.feed(chunk)
            engine.progress()
            self.deadline.allow(timeouts.between_tokens, silent)
            if not passing:
                return True
            taken = stream.pass_on(passing)
            stream.complete = events.done
            return taken

        try:
            while chunk := await found.read():
                passing = events.feed(chunk)
                if passing:
                    self.deadline.allow(timeouts.write, stalled)
                    await stream.write(passing)
                    stream.complete = events.done
                    exchange.phase = "streaming"
                engine.progress()
                self.deadline.allow(timeouts.between_tokens, silent)
                if stream.begun:
                    await found.pour(pass_on)
            if not stream.begun or events.tail:
                raise engine_failed()
        finally:
            events.close()
            stream.events = events.count


class EventStream:
    """A stream of server-sent events that begins with its first byte.

    Until then the engine may still fail, and the client gets a plain error instead.
    """

    def __init__(self, connection: Connection, send: Send) -> None:
        self.send = send
        self.pass_on = connection.pass_on
        """Once it has begun: as `write` for a client that keeps up, and whether it does."""
        self.begun = False
        self.complete = False
        """`[DONE]` has been passed on, so that nothing may follow."""
        self.events = 0
        """How many the engine has sent, known at the end."""

    async def write(self, events: bytes) -> None:
        """Pass whole events on at once, as they are."""
        if not self.begun:
            self.begun = True
            headers = [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-store"),
                (b"x-accel-buffering", b"no"),
            ]
            await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.send({"type": "http.response.body", "body": events, "more_body": True})

    async def fail(self, error: ApiError, path: str) -> None:
        """End with an error event, in the place of `[DONE]`.

        That of `/v1/responses` has the form of its other events; clients look for `error` in all.
        """
        said: dict[str, Any] = {**error.body}
        name = ""
        if path == RESPONSES:
            name = "event: error\n"
            said |= error.body["error"] | {"type": "error", "sequence_number": self.events}
        event = f"{name}data: {json.dumps(said)}\n\n".encode()
        await self.send({"type": "http.response.body", "body": event, "more_body": False})

    async def end(self) -> None:
        """End as the engine ended."""
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


class WholeAnswer(Response):
    """An answer in one piece, sent in several: only so is seen whether the client takes it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = self.raw_headers
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        for begin in range(0, len(self.body), PIECE_BYTES):
            end = begin + PIECE_BYTES
            piece, more = self.body[begin:end], end < len(self.body)
            await send({"type": "http.response.body", "body": piece, "more_body": more})
