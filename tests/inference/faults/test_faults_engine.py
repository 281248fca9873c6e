"""An engine that hangs, dies, floods or answers nonsense, told byte by byte."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from bedside_core.registry.registry import Registry
from bedside_inference import aliases
from bedside_inference.config import HealthConfig, TimeoutsConfig
from bedside_inference.gateway import relay
from bedside_inference.gateway.api.events import MAX_EVENT_BYTES
from bedside_inference.paths import socket_path
from bedside_inference.secret import make_secrets
from bedside_inference.served import HEADER, ServedModel
from bedside_inference.state.store import Store

OTHER = "cd" * 32
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
WHOLE = b'{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}'
JSON = ("Content-Type: application/json",)
STREAM = ("Content-Type: text/event-stream", "Transfer-Encoding: chunked")


@dataclass
class RawEngine:
    """Writes what a test gives it; connections stay open, as vLLM's do."""

    served: ServedModel
    script: Callable[[RawEngine, asyncio.StreamWriter], Awaitable[None]] = field(
        default=lambda engine, writer: engine.write(writer, engine.head(*JSON, body=WHOLE))
    )
    running: int = 0
    asked: list[bytes] = field(default_factory=list)
    connections: set[asyncio.StreamWriter] = field(default_factory=set)

    def head(self, *lines: str, status: str = "200 OK", body: bytes | None = None) -> bytes:
        """Status line and headers that name the model; with a body also that and its length."""
        length = () if body is None else (f"Content-Length: {len(body)}",)
        named = f"{HEADER}: {self.served.model_dump_json()}"
        top = "\r\n".join((f"HTTP/1.1 {status}", named, *lines, *length, "", ""))
        return top.encode("latin-1") + (body or b"")

    def marked(self, events: bytes) -> bytes:
        """What becomes of its events: each names the model that made it."""
        begin = b'data: {"system_fingerprint":"%s",' % self.served.model.encode()
        return (b"\n" + events).replace(b"\ndata: {", b"\n" + begin)[1:]

    async def write(self, writer: asyncio.StreamWriter, *pieces: bytes) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)

    async def freed(self) -> None:
        """Wait until nothing is running."""
        async with asyncio.timeout(30):
            while self.running:
                await asyncio.sleep(0.01)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self.answer(reader, writer):
                pass
        self.connections.discard(writer)
        writer.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        top = await reader.readuntil(b"\r\n\r\n")
        if top.startswith(b"GET "):
            await self.write(writer, self.head(body=b""))
            return True
        lengths = [line for line in top.lower().split(b"\r\n") if b"content-length:" in line]
        self.asked.append(await reader.readexactly(int(lengths[0].partition(b":")[2])))
        self.running += 1
        done = asyncio.ensure_future(self.script(self, writer))
        gone = asyncio.ensure_future(reader.read(1))  # nothing comes before the answer's end
        try:
            await asyncio.wait({done, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() and not done.done():
                return False
            await done
        finally:
            self.running -= 1
            done.cancel()
            gone.cancel()
            await asyncio.wait({done, gone})
        return not writer.is_closing()


@pytest.fixture
async def rough(config, home, served) -> AsyncIterator[RawEngine]:
    """An engine at the usual socket."""
    found = RawEngine(served)
    path = socket_path(config, home)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    server = await asyncio.start_unix_server(found.connected, path)
    yield found
    server.close()
    for writer in list(found.connections):
        writer.close()
    await asyncio.sleep(0.01)


def writes(*pieces: bytes, close: bool = True) -> Callable[..., Awaitable[None]]:
    """A script: these bytes, then the end of the connection."""

    async def script(engine: RawEngine, writer: asyncio.StreamWriter) -> None:
        await engine.write(writer, *pieces)
        if close:
            writer.close()

    return script


def chunked(*events: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events)


END = b"0\r\n\r\n"


def broken_heads(engine: RawEngine) -> dict[str, bytes]:
    """What is no answer, whatever was asked for."""
    head = engine.head
    return {
        "nothing": b"",
        "no HTTP": b"\x00\xff\x16\x03" * 100,
        "half a status line": b"HTTP/1.",
        "half a head": head(*JSON)[:-3],
        "a status of words": b"HTTP/1.1 great OK\r\n\r\n",
        "no status": b"HTTP/1.1\r\n\r\n",
        "another version": b"HTTP/7.3 200 OK\r\n\r\n",
        "a page of HTML": head("Content-Type: text/html", status="500 Oops", body=b"<h1>no</h1>"),
        "a page that claims success": head("Content-Type: text/html", body=b"<h1>no</h1>"),
        "no content type": head(body=WHOLE)[: -len(WHOLE)],
        "an absurd content type": head("Content-Type: ;;/;\xff", body=b"[]"),
        "two lengths": head(*JSON, "Content-Length: 3", body=WHOLE),
        "a negative length": head(*JSON, "Content-Length: -3"),
        "a length of words": head(*JSON, "Content-Length: many"),
        "a long header": head(*JSON, "X-A: " + "a" * (1 << 20), body=WHOLE),
        "many headers": head(*JSON, *["X-A: a"] * 100_000, body=WHOLE),
        "a header with null": head(*JSON, "X-A: a\x00b", body=WHOLE),
        "a redirect": head("Location: http://127.0.0.1:1/v1", status="307 There", body=b""),
        "switching protocols": head("Upgrade: x", "Connection: upgrade", status="101 Go"),
        "no content": head(status="204 No Content"),
        "another success": head(*JSON, status="201 Created", body=WHOLE),
        "no model": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + WHOLE,
        "a model of words": f"HTTP/1.1 200 OK\r\n{HEADER}: the best\r\n\r\n".encode() + WHOLE,
        "a model without a verdict": f"HTTP/1.1 200 OK\r\n{HEADER}: {{}}\r\n\r\n".encode() + WHOLE,
    }


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_what_is_no_answer(rough, gateway, ledger, recovers, stream) -> None:
    for what, raw in broken_heads(rough).items():
        rough.script = writes(raw)
        async with gateway.chat(stream=stream) as answer:
            error = (await answer.json())["error"]
            assert (what, answer.status, error["code"]) == (what, 502, "engine_error")
            assert "x-ai-generated" not in answer.headers or answer.headers["x-bedside-model"]
        record = await ledger.one()
        assert (what, record["outcome"], record["status"]) == (what, "engine_error", 502)
        await rough.freed()
    asked = [body for body in rough.asked if b"Hallo" in body]  # not the gateway's own question
    assert len(asked) == len(broken_heads(rough))  # nothing is asked twice
    await recovers(gateway, rough)


def broken_wholes(engine: RawEngine) -> dict[str, bytes]:
    """What is no whole answer."""
    head = engine.head
    zipped = gzip.compress(WHOLE)
    return {
        "nothing": head(*JSON, body=b""),
        "a list": head(*JSON, body=b"[" + WHOLE + b"]"),
        "a text": head(*JSON, body=b'"Guten Tag"'),
        "null": head(*JSON, body=b"null"),
        "half": head(*JSON, body=WHOLE[:-1]),
        "twice": head(*JSON, body=WHOLE * 2),
        "not UTF-8": head(*JSON, body=b'{"choices": "\xff\xfe"}'),
        "UTF-16": head(*JSON, body=WHOLE.decode().encode("utf-16")),
        "very deep": head(*JSON, body=b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        "an error": head(*JSON, body=b'{"error": {"message": "no"}}'),
        "a stream": head(*STREAM) + chunked(EVENT, DONE) + END,
        "a length that promises too much": head(*JSON, f"Content-Length: {len(WHOLE) + 9}") + WHOLE,
        "a length that promises too little": head(*JSON, "Content-Length: 9") + WHOLE,
        "zipped": head(*JSON, "Content-Encoding: gzip", body=zipped),
        "half a chunk": head(*JSON, "Transfer-Encoding: chunked") + chunked(WHOLE)[:-4],
        "no last chunk": head(*JSON, "Transfer-Encoding: chunked") + chunked(WHOLE),
        "a bad chunk": head(*JSON, "Transfer-Encoding: chunked") + b"xyz\r\n" + WHOLE,
    }


async def test_what_is_no_whole_answer(rough, gateway, ledger, recovers) -> None:
    for what, raw in broken_wholes(rough).items():
        rough.script = writes(raw)
        async with gateway.chat() as answer:
            error = (await answer.json())["error"]
            assert (what, answer.status, error["code"]) == (what, 502, "engine_error")
        record = await ledger.one()
        assert (what, record["outcome"], record["status"]) == (what, "engine_error", 502)
        assert record["finish_reason"] is None
    await recovers(gateway, rough)


def broken_beginnings(engine: RawEngine) -> dict[str, bytes]:
    """What ends before an event has come."""
    head = engine.head(*STREAM)
    return {
        "nothing": head + END,
        "no chunk": head,
        "a whole answer": engine.head(*JSON, body=WHOLE),
        "no event": head + chunked(WHOLE, b"\n\n") + END,
        "half an event": head + chunked(EVENT[:-2]) + END,
        "an error": head + chunked(b'data: {"error":{"message":"no"}}\n\n', DONE) + END,
        "vLLM's error": head + chunked(b'data: {"error": {"message": "no"}}\n\n', DONE) + END,
        "a bad chunk": head + b"xyz\r\n" + EVENT,
        "zipped": engine.head(*STREAM, "Content-Encoding: gzip")
        + chunked(gzip.compress(EVENT + DONE))
        + END,
        "usage that is no JSON": head + chunked(b'data: {"usage":{\n\n', DONE) + END,
    }


async def test_what_is_no_beginning_of_a_stream(rough, gateway, ledger, recovers) -> None:
    for what, raw in broken_beginnings(rough).items():
        rough.script = writes(raw)
        async with gateway.chat(stream=True) as answer:
            error = (await answer.json())["error"]
            assert (what, answer.status, error["code"]) == (what, 502, "engine_error")
        record = await ledger.one()
        assert (what, record["outcome"], record["status"]) == (what, "engine_error", 502)
    await recovers(gateway, rough)


BROKEN_REST = {
    "nothing": b"",
    "half an event": chunked(EVENT[:-2]) + END,
    "no event": chunked(b"nonsense\n\n") + END,
    "an error": chunked(b'data: {"error":{"message":"no","code":500}}\n\n', DONE) + END,
    "an error as vLLM writes it": chunked(b'data: {"error": {"message": "no"}}\n\n', DONE) + END,
    "half a chunk": b"ff\r\ndata: ",
}


async def test_a_stream_that_breaks_off(rough, gateway, ledger, recovers) -> None:
    for what, rest in BROKEN_REST.items():
        rough.script = writes(rough.head(*STREAM) + chunked(EVENT, EVENT), rest)
        async with gateway.chat(stream=True) as answer:
            content = await answer.content.read()
        begun, _, end = content.partition(rough.marked(EVENT * 2))
        assert (what, begun, answer.status) == (what, b"", 200)
        assert json.loads(end.removeprefix(b"data: "))["error"]["code"] == "engine_error"
        record = await ledger.one()
        assert (what, record["outcome"], record["status"]) == (what, "engine_error", 200)
        assert record["completion_tokens"] >= 2
    await recovers(gateway, rough)


async def test_an_answer_is_never_a_part_of_the_one_before(
    rough, config, open_gateway, ledger, recovers
) -> None:
    """What an engine writes beyond an answer's length is not taken for the next caller's."""
    # Rarely looked at, because a look would take the connection.
    rarely = config.gateway.model_copy(update={"health": HealthConfig(interval_seconds=30)})
    async with open_gateway(config.model_copy(update={"gateway": rarely})) as gateway:
        poison = rough.head(*JSON, body=b'{"choices": [], "of": "somebody else"}')
        for end in (b"", END):
            framed = ("Transfer-Encoding: chunked",) if end else (f"Content-Length: {len(WHOLE)}",)
            begin = rough.head(*JSON, *framed) + (chunked(WHOLE) if end else WHOLE) + end
            for pieces in ((begin + poison,), (begin, poison)):

                async def script(
                    engine: RawEngine,
                    writer: asyncio.StreamWriter,
                    pieces: tuple[bytes, ...] = pieces,
                ) -> None:
                    for piece in pieces:
                        writer.write(piece)
                        await asyncio.sleep(0.1)

                rough.script = script
                async with gateway.chat() as answer:
                    assert answer.status in (200, 502)
                    assert "somebody" not in await answer.text()
                await asyncio.sleep(0.2)
                rough.script = type(rough).__dataclass_fields__["script"].default
                async with gateway.chat() as answer:
                    assert "somebody" not in await answer.text()
                await ledger.take(2)
        await recovers(gateway, rough)


async def test_an_engine_that_hangs(rough, config, open_gateway, ledger, recovers) -> None:
    stream, whole = rough.head(*STREAM), rough.head(*JSON, f"Content-Length: {len(WHOLE)}")
    cases = {
        "before its head": (b"", b"", 504),
        "in its head": (stream[:50], whole[:50], 504),
        "after its head": (stream, whole, 504),
        "in its first piece": (stream + chunked(EVENT)[:20], whole + WHOLE[:20], 504),
        "after the first event": (stream + chunked(EVENT), b"", 200),
        "before the end": (stream + chunked(EVENT, EVENT), whole + WHOLE[:-1], 200),
        "with interim answers": (
            b"HTTP/1.1 103 Hints\r\n\r\n" * 9,
            b"HTTP/1.1 100 Go\r\n\r\n",
            504,
        ),
    }

    def hang(raw: bytes) -> Callable[..., Awaitable[None]]:
        async def script(engine: RawEngine, writer: asyncio.StreamWriter) -> None:
            await engine.write(writer, raw)
            await asyncio.sleep(600)

        return script

    def impatient(**seconds: float):
        """A gateway that waits no longer than a moment for what is to be missing."""
        section = config.gateway.model_copy(update={"timeouts": TimeoutsConfig(**seconds)})
        return open_gateway(config.model_copy(update={"gateway": section}))

    async def ask(gateway, what: str, raw: bytes, status: int, *, stream: bool) -> None:
        rough.script = hang(raw)
        async with gateway.chat(stream=stream) as answer:
            content = await answer.content.read()
        assert (what, answer.status) == (what, status)
        assert b'"engine_timeout"' in content
        assert (what, (await ledger.one())["outcome"]) == (what, "engine_timeout")
        await rough.freed()

    async with impatient(first_token=0.15, between_tokens=0.15, answer=0.15) as gateway:
        for what, (streamed, whole, status) in cases.items():
            await ask(gateway, what, whole, 504, stream=False)
            if status == 504:
                await ask(gateway, what, streamed, 504, stream=True)
    async with impatient(between_tokens=0.15) as gateway:
        for what, (streamed, _, status) in cases.items():
            if status == 200:
                await ask(gateway, what, streamed, 200, stream=True)
        # The answer is whole then, whatever its engine does.
        rough.script = hang(stream + chunked(EVENT, DONE))
        async with gateway.chat(stream=True) as answer:
            assert await answer.content.read() == rough.marked(EVENT + DONE)
        assert (await ledger.one())["outcome"] == "answered"
        await rough.freed()
        await recovers(gateway, rough)


async def flood(
    engine: RawEngine, writer: asyncio.StreamWriter, begin: bytes, piece: bytes
) -> None:
    await engine.write(writer, begin)
    while True:
        writer.write(piece)
        await writer.drain()


def grown() -> int:
    """The most memory that this process has used, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


async def test_floods(rough, gateway, ledger, recovers, monkeypatch) -> None:
    """What never ends is given up, before it fills the memory."""
    monkeypatch.setattr(relay, "MAX_ANSWER_BYTES", 8 << 20, raising=False)
    before = grown()
    stream, piece = rough.head(*STREAM), chunked(b"x" * 65536)
    cases = {
        "headers without end": (False, b"HTTP/1.1 200 OK\r\n", b"X-A: a\r\n" * 4096),
        "a header without end": (False, b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 65536),
        "a status without end": (False, b"HTTP/1.1 200 ", b"a" * 65536),
        "an event without end": (True, stream + chunked(b"data: "), piece),
        "events in an event": (True, stream + chunked(b"data: "), chunked(b"\ndata: x" * 9000)),
        "a whole answer without end": (
            False,
            rough.head(*JSON, "Transfer-Encoding: chunked"),
            chunked(b" " * 65536),
        ),
        "a trailer without end": (
            False,
            rough.head(*JSON, "Transfer-Encoding: chunked") + chunked(b" ") + b"0\r\nX-A: ",
            b"a" * 65536,
        ),
    }
    for what, (streaming, begin, more) in cases.items():
        rough.script = lambda e, w, begin=begin, more=more: flood(e, w, begin, more)
        async with asyncio.timeout(30), gateway.chat(stream=streaming) as answer:
            assert (what, answer.status) == (what, 502)
        assert (what, (await ledger.one())["outcome"]) == (what, "engine_error")
        await rough.freed()
    await recovers(gateway, rough)
    assert grown() - before < 128


async def test_an_enormous_event_passes_up_to_the_bound(rough, gateway, ledger, recovers) -> None:
    for size, status in ((MAX_EVENT_BYTES - 64, 200), (MAX_EVENT_BYTES + (1 << 20), 502)):
        event = b'data: {"a":"' + b"x" * size + b'"}\n\n'
        pieces = [event[begin : begin + (1 << 20)] for begin in range(0, len(event), 1 << 20)]
        rough.script = writes(rough.head(*STREAM) + chunked(*pieces, DONE) + END)
        async with gateway.chat(stream=True) as answer:
            assert answer.status == status
            if status == 200:
                assert await answer.content.read() == rough.marked(event + DONE)
        assert (await ledger.one())["status"] == status
    await recovers(gateway, rough)


async def test_another_model_than_was_chosen(engine, config, home, ledger, open_gateway) -> None:
    """An engine that was started anew between two looks, with a model that the house stopped."""
    rarely = config.gateway.model_copy(update={"health": HealthConfig(interval_seconds=30)})
    async with open_gateway(config.model_copy(update={"gateway": rarely})) as gateway:
        with closing(Store.open(config.state, home)) as store:
            aliases.stop(store, OTHER, audit=lambda action, **ids: None)
        await gateway.looked()
        engine.served = engine.served.model_copy(update={"model": OTHER})
        async with gateway.chat() as answer:
            assert answer.status == 503
            assert "x-bedside-model" not in answer.headers
        record = await ledger.one()
        assert (record["outcome"], record["model_digest"] != OTHER) == ("model_loading", True)
        await engine.freed()


@pytest.mark.parametrize("apart", [False, True])
async def test_an_engine_that_dies_behind_the_end(
    rough, gateway, ledger, recovers, apart: bool
) -> None:
    pieces = (EVENT, DONE) if apart else (EVENT + DONE,)
    rough.script = writes(rough.head(*STREAM) + b"".join(chunked(piece) for piece in pieces))
    async with gateway.chat(stream=True) as answer:
        assert await answer.content.read() == rough.marked(EVENT + DONE)
    assert (await ledger.one())["outcome"] == "answered"
    await recovers(gateway, rough)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_bug_of_ours_is_no_answer(
    rough, gateway, ledger, recovers, monkeypatch, caplog, stream: bool
) -> None:
    def buggy(*arguments: object) -> bytes:
        raise KeyError

    if stream:
        rough.script = writes(rough.head(*STREAM) + chunked(EVENT, DONE) + END)
    with monkeypatch.context() as patched:
        patched.setattr(relay, "whole_answer", buggy)
        patched.setattr(relay.Events, "feed", buggy)
        async with gateway.chat(stream=stream) as answer:
            assert answer.status == 500
            assert (await answer.json())["error"]["code"] == "internal_error"
    record = await ledger.one()
    assert (record["outcome"], record["status"]) == ("internal_error", 500)
    assert "a request failed" in caplog.text
    await recovers(gateway, rough)


async def test_without_a_free_file_the_engine_is_not_taken_for_gone(
    engine, gateway, ledger, recovers
) -> None:
    async with gateway.chat() as answer:  # its connection stays
        assert answer.status == 200
    kept = resource.getrlimit(resource.RLIMIT_NOFILE)
    with tempfile.TemporaryFile() as lowest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno(), kept[1]))
        try:
            async with gateway.chat() as answer:
                assert answer.status == 503
                assert (await answer.json())["error"]["code"] == "gateway_full"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, kept)
    async with gateway.chat() as answer:  # no look was needed
        assert answer.status == 200
    outcomes = [record["outcome"] for record in await ledger.take(3)]
    assert outcomes == ["answered", "gateway_full", "answered"]
    await recovers(gateway, engine)


async def test_a_model_that_changes_under_a_running_stream(
    engine, gateway, ledger, recovers
) -> None:
    """The stream is still of the model that its first byte named."""
    go_on, first = asyncio.Event(), engine.served

    async def wait_then_finish(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(EVENT)
        await go_on.wait()
        await response.write(DONE)
        return response

    engine.script = wait_then_finish
    async with gateway.chat(stream=True) as answer:
        begun = engine.marked(EVENT)
        assert await answer.content.readexactly(len(begun)) == begun
        engine.served = first.model_copy(update={"model": OTHER, "verdict": "PROMOTE"})
        async with asyncio.timeout(30):
            while True:
                async with gateway.session.get(f"{gateway.url}/readyz") as ready:
                    if (await ready.json()).get("model") == OTHER:
                        break
        go_on.set()
        assert await answer.content.read() == DONE
    record = await ledger.one()
    assert (record["model_digest"], record["verdict"]) == (first.model, "UNPROVEN")
    assert (record["outcome"], record["status"]) == ("answered", 200)
    await recovers(gateway, engine)


async def test_nobody_listens_and_then_somebody_does(
    config, home, served, gateway, ledger, recovers
) -> None:
    path = socket_path(config, home)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    for broken in (lambda: None, path.touch, path.unlink, path.mkdir, path.rmdir):
        broken()
        async with gateway.chat() as answer:
            assert answer.status == 503
            assert (await answer.json())["error"]["code"] == "model_loading"
        assert (await ledger.one())["outcome"] == "model_loading"
    rough = RawEngine(served)
    server = await asyncio.start_unix_server(rough.connected, path)
    await recovers(gateway, rough)
    server.close()
    for writer in list(rough.connections):
        writer.close()


async def test_a_redirect_leads_nowhere(
    engine, config, home, ledger, recovers, open_gateway, monkeypatch
) -> None:
    """The prompt goes to the engine and to nobody whom that names."""
    reached = asyncio.Event()

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        writer.close()

    trap = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
    target = f"http://127.0.0.1:{trap.sockets[0].getsockname()[1]}/v1"
    monkeypatch.setenv("BEDSIDE_SECRETS", str(home / "secrets"))
    make_secrets(Registry(home))
    port = await engine.listen_on_loopback()
    section = config.gateway.model_copy(update={"engines": (f"http://127.0.0.1:{port}",)})
    async with open_gateway(config.model_copy(update={"gateway": section})) as gateway:
        for status in (301, 302, 303, 307, 308):

            async def redirect(request: web.Request, status: int = status) -> web.StreamResponse:
                return web.Response(status=status, headers={"Location": target})

            engine.script = redirect
            async with gateway.chat() as answer:
                assert answer.status == 502
            assert (await ledger.one())["outcome"] == "engine_error"
        await recovers(gateway, engine)
    trap.close()
    assert not reached.is_set()
