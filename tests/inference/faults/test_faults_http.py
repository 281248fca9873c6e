"""Bytes that are no HTTP, half of it, too much of it, or HTTP that lies about itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web

from bedside_inference.config import TimeoutsConfig
from bedside_inference.gateway.protocol import MAX_HEADER_BYTES, MAX_HEADERS, Protocol

CHAT = "/v1/chat/completions"
GOOD = json.dumps({"model": "test", "messages": [{"role": "user", "content": "Hallo"}]}).encode()
PROTECTED = (
    *(("GET", path) for path in ("/v1/models", "/v1/models/test")),
    *(("POST", f"/v1/{path}") for path in ("completions", "embeddings", "responses")),
    ("POST", CHAT),
)


def head(*lines: str, request: str = f"POST {CHAT} HTTP/1.1") -> bytes:
    return "\r\n".join((request, "Host: x", *lines, "", "")).encode("latin-1")


def get(path: bytes, *lines: bytes, method: bytes = b"GET") -> bytes:
    return b"\r\n".join((method + b" " + path + b" HTTP/1.1", b"Host: x", *lines, b"", b""))


NO_HTTP = {
    "nothing of HTTP": b"\x00\x01\x02\xff\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "SMTP": b"EHLO hospital.example\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "HTTP/9.9": b"GET /livez HTTP/9.9\r\n\r\n",
    "no method": b"/livez HTTP/1.1\r\n\r\n",
    "a made-up method": b"SMUGGLE /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method in lower case": b"get /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "an origin alone as target": b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target without slash": b"GET livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "non-ASCII in the target": b"GET /v1/\xc3\xb6 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space in the target": b"GET /livez x HTTP/1.1\r\nHost: x\r\n\r\n",
    "null in the target": b"GET /live\x00z HTTP/1.1\r\nHost: x\r\n\r\n",
    "null in a header": get(b"/livez", b"X-A: a\x00b"),
    "null in a header's name": get(b"/livez", b"X-\x00A: b"),
    "a space in a header's name": get(b"/livez", b"X A: b"),
    "a space before the colon": get(b"/livez", b"Content-Length : 0"),
    "a header without a name": get(b"/livez", b": b"),
    "a header without a colon": get(b"/livez", b"nonsense"),
    "a folded header": get(b"/livez", b"X-A: b", b"  c"),
    "a header that begins folded": get(b"/livez", b" Authorization: b"),
    "a line end within a header": get(b"/livez", b"X-A: a\rX-B: b"),
    "a negative length": head("Content-Length: -1"),
    "a length with a sign": head("Content-Length: +2"),
    "a length that is no number": head("Content-Length: 2x"),
    "a hexadecimal length": head("Content-Length: 0x10"),
    "an empty length": head("Content-Length:"),
    "a length beyond 64 bits": head(f"Content-Length: {1 << 65}"),
    "two lengths": head("Content-Length: 2", "Content-Length: 3"),
    "two lengths in one": head("Content-Length: 2, 3"),
    "the same length twice": head("Content-Length: 2", "Content-Length: 2"),
    "length and chunks": head("Content-Length: 2", "Transfer-Encoding: chunked"),
    "chunks and length": head("Transfer-Encoding: chunked", "Content-Length: 2"),
    "chunks that are not the last coding": head("Transfer-Encoding: chunked, identity"),
}


def parts(answer: bytes) -> tuple[int, dict]:
    """Status and JSON of an answer that ends with the connection."""
    top, _, body = answer.partition(b"\r\n\r\n")
    return int(top.split()[1]), json.loads(body)


async def test_what_is_no_http(engine, gateway, raw, recovers) -> None:
    for what, request in NO_HTTP.items():
        status, body = parts(await raw(request))
        assert (what, status) == (what, 400)
        assert (what, body["error"]["code"]) == (what, "bad_http")
    assert not engine.bodies
    await recovers(gateway, engine)


FLOODS = {
    "headers": get(b"/livez", *(b"X-%d: 1" % n for n in range(MAX_HEADERS + 1))),
    "the same header": get(b"/livez", *[b"Cookie: a"] * (MAX_HEADERS + 1)),
    "a long header": get(b"/livez", b"X-A: " + b"a" * MAX_HEADER_BYTES),
    "a long name": get(b"/livez", b"a" * MAX_HEADER_BYTES + b": b"),
    "a long target": get(b"/livez?" + b"a" * MAX_HEADER_BYTES),
    "a target without end": b"GET /" + b"a" * (8 << 20),
}


async def test_floods_of_headers(engine, gateway, raw, recovers) -> None:
    for what, request in FLOODS.items():
        try:
            status, body = parts(await raw(request))
        except ConnectionResetError:  # cut while it was still being written to
            assert len(request) > 1 << 20
            continue
        assert (what, status) == (what, 431)
        assert (what, body["error"]["code"]) == (what, "headers_too_large")
    await recovers(gateway, engine)


@pytest.mark.parametrize("part", [b"X-A: ", b"X-A"])
async def test_a_header_without_end_is_not_kept(engine, gateway, recovers, part) -> None:
    """The parser tells of a header when it is complete; until then it must be counted too."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + part)
    sent = 0
    try:
        async with asyncio.timeout(30):
            while sent < 64 << 20 and not reader.at_eof():
                writer.write(b"a" * 65536)
                await writer.drain()
                await asyncio.sleep(0)
                sent += 65536
    except ConnectionError:
        pass
    finally:
        writer.close()
    assert sent < 16 << 20  # what lies in the system's buffers on the way
    await recovers(gateway, engine)


@pytest.fixture
def hurried(monkeypatch) -> None:
    """A server that waits for headers no longer than 0.3 s."""
    monkeypatch.setattr(Protocol, "HEADER_SECONDS", 0.3)


async def drip(port: int, begin: bytes, piece: bytes) -> bytes:
    """Send a piece every few milliseconds until the connection is closed; the answer.

    Whom each piece buys time would go on for ever.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begin)

    async def send() -> None:
        while True:
            writer.write(piece)
            await asyncio.sleep(0.05)

    sending = asyncio.create_task(send())
    try:
        return await asyncio.wait_for(received(reader), 20)
    finally:
        sending.cancel()
        writer.close()


async def received(reader: asyncio.StreamReader) -> bytes:
    """Everything until the end; a piece that was sent after it is answered with a reset."""
    answer = b""
    with suppress(ConnectionResetError):
        while piece := await reader.read(65536):
            answer += piece
    return answer


async def test_slow_headers(engine, gateway, hurried, recovers) -> None:
    beginnings = {
        "silence": (b"", b""),
        "empty lines": (b"", b"\r\n"),
        "a slow method": (b"G", b""),
        "a slow target": (b"GET /", b"a"),
        "slow headers": (b"GET /livez HTTP/1.1\r\n", b"A: b\r\n"),
        "a slow header": (b"GET /livez HTTP/1.1\r\nA: ", b"b"),
    }
    found = await asyncio.gather(*(drip(gateway.port, *how) for how in beginnings.values()))
    for what, answer in zip(beginnings, found, strict=True):
        status, body = parts(answer)
        assert (what, status, body["error"]["code"]) == (what, 408, "headers_timeout")
    await recovers(gateway, engine)


async def test_a_second_request_must_hurry_too(engine, gateway, hurried) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(get(b"/livez"))
    assert b"200" in await reader.readline()
    assert b"alive" in await reader.readuntil(b"}")
    writer.write(b"GET /livez HTTP/1.1\r\nA: b\r\n")
    assert b"headers_timeout" in await asyncio.wait_for(reader.read(), 20)
    writer.close()


async def test_a_connection_may_rest_between_requests(engine, gateway, hurried, ledger) -> None:
    """As proxies keep theirs; what is sent on one that is just being closed would be lost."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    for request, end in ((get(b"/livez"), b"}"), (head("Content-Length: 2"), b"}}")) * 2:
        writer.write(request)
        answer = await asyncio.wait_for(reader.readuntil(end), 30)
        assert b"timeout" not in answer
        if end == b"}}":
            writer.write(b"{}")  # the body, after it was refused without it
            assert (await ledger.one())["outcome"] == "invalid_api_key"
        await asyncio.sleep(3 * Protocol.HEADER_SECONDS)
    writer.close()
    assert gateway.server.config.timeout_keep_alive > 60  # after which nginx closes its own


async def test_no_connection_rests_for_ever(
    engine, config, open_gateway, monkeypatch, ledger
) -> None:
    """One whose request was refused before its body was there neither."""
    monkeypatch.setattr("bedside_inference.gateway.server.KEEP_ALIVE_SECONDS", 1)
    async with open_gateway(config) as gateway:
        for rest in (b"", b"}"):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(head("Content-Length: 2") + b"{}".removesuffix(rest))
            await asyncio.wait_for(reader.readuntil(b"}}"), 30)
            writer.write(rest)
            assert await asyncio.wait_for(reader.read(), 30) == b""
            writer.close()
            assert (await ledger.one())["outcome"] == "invalid_api_key"


async def test_a_request_behind_the_rest_of_a_refused_body(
    engine, config, open_gateway, monkeypatch, ledger
) -> None:
    """In one packet; its stream outlasts what a resting connection may."""
    monkeypatch.setattr("bedside_inference.gateway.server.KEEP_ALIVE_SECONDS", 1)

    async def linger(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("a"))
        await asyncio.sleep(2)
        await response.write(b"data: [DONE]\n\n")
        return response

    engine.script = linger
    asked = GOOD[:-1] + b', "stream": true}'
    async with open_gateway(config) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(head("Content-Length: 2") + b"{")
        await asyncio.wait_for(reader.readuntil(b"}}"), 30)
        writer.write(b"}" + asks(gateway, f"Content-Length: {len(asked)}") + asked)
        assert await asyncio.wait_for(reader.readuntil(b"[DONE]"), 30)
        writer.close()
        assert {record["status"] for record in await ledger.take(2)} == {401, 200}


@pytest.fixture
async def impatient(config, open_gateway) -> AsyncIterator:
    """A gateway that waits for bodies no longer than 0.3 s."""
    timeouts = TimeoutsConfig(body=0.3)
    section = config.gateway.model_copy(update={"timeouts": timeouts})
    async with open_gateway(config.model_copy(update={"gateway": section})) as door:
        yield door


def asks(door, *lines: str) -> bytes:
    """The head of a chat request with a key."""
    return head(f"Authorization: Bearer {door.key}", "Content-Type: application/json", *lines)


async def test_slow_bodies(engine, impatient, ledger, recovers) -> None:
    chunked = asks(impatient, "Transfer-Encoding: chunked")
    bodies = {
        "nothing": (asks(impatient, "Content-Length: 50"), b""),
        "byte by byte": (asks(impatient, "Content-Length: 5000"), b"{"),
        "a length that promises too much": (
            asks(impatient, f"Content-Length: {len(GOOD) + 1}") + GOOD,
            b"",
        ),
        "chunk by chunk": (chunked, b"1\r\n{\r\n"),
        "a chunk without end": (chunked + b"ff\r\n", b"{"),
        "a chunk size without end": (chunked, b"0"),
        "trailers without end": (chunked + b"0\r\n", b"A: b\r\n"),
    }
    found = await asyncio.gather(*(drip(impatient.port, *how) for how in bodies.values()))
    for what, answer in zip(bodies, found, strict=True):
        assert (what, answer[:12]) == (what, b"HTTP/1.1 408")
        assert b"body_timeout" in answer
    for record in await ledger.take(len(bodies)):
        assert (record["outcome"], record["status"]) == ("body_timeout", 408)
        assert record["pseudonym"]
    assert not engine.bodies
    await recovers(impatient, engine)


async def test_who_is_refused_cannot_keep_the_connection(
    engine, gateway, hurried, ledger, recovers
) -> None:
    """A body that nobody waits for any more, and bytes between requests, buy no time."""
    stays = {
        "a body that drips": (head("Content-Length: 100000"), b"{"),
        "a body that stops": (head("Content-Length: 100") + b"{", b""),
        "empty lines": (head("Content-Length: 0"), b"\r\n"),
    }
    found = await asyncio.gather(
        *(drip(gateway.port, *how) for how in stays.values()), return_exceptions=True
    )
    for record in await ledger.take(len(stays)):
        assert record["outcome"] == "invalid_api_key"
    kept = [what for what, done in zip(stays, found, strict=True) if isinstance(done, Exception)]
    assert not kept
    await recovers(gateway, engine)


async def test_a_length_that_promises_too_little(engine, gateway, raw, ledger, recovers) -> None:
    """What is left over is no part of the request, and as one of its own is not answered."""
    for request in (
        asks(gateway, f"Content-Length: {len(GOOD) - 5}") + GOOD,
        asks(gateway, "Content-Length: 0") + get(b"/metrics"),
        asks(gateway, "Transfer-Encoding: chunked") + b"0\r\n\r\n" + get(b"/metrics"),
    ):
        answer = await raw(request)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"invalid_json" in answer
        assert (await ledger.one())["outcome"] == "invalid_json"
    assert not engine.bodies
    await recovers(gateway, engine)


BAD_CHUNKS = {
    "no number": b"xyz\r\n",
    "negative": b"-1\r\n{\r\n",
    "beyond 64 bits": b"fffffffffffffffff\r\n",
    "an empty size": b"\r\n{\r\n",
    "a size that is too small": b"1\r\n{}\r\n0\r\n\r\n",
    "a hexadecimal prefix": b"0x2\r\n{}\r\n0\r\n\r\n",
    "line feeds alone": b"2\n{}\n0\n\n",
}


async def test_bad_chunks(engine, gateway, raw, ledger, recovers) -> None:
    for what, chunks in BAD_CHUNKS.items():
        answer = await raw(asks(gateway, "Transfer-Encoding: chunked") + chunks)
        assert (what, answer[:12]) == (what, b"HTTP/1.1 400")
        assert b"bad_http" in answer
        record = await ledger.one()
        assert record["outcome"] == "client_left"
        assert record["disconnect_phase"] == "sending"
    assert not engine.bodies
    await recovers(gateway, engine)


async def test_a_coding_that_nobody_knows(engine, gateway, raw, ledger, recovers) -> None:
    answer = await raw(asks(gateway, "Transfer-Encoding: xchunked") + GOOD)
    assert (answer[:12], b"bad_http" in answer) == (b"HTTP/1.1 400", True)
    assert (await ledger.one())["outcome"] == "client_left"
    assert not engine.bodies
    await recovers(gateway, engine)


async def test_trailers_change_nothing(engine, gateway, raw, ledger, recovers) -> None:
    """Headers that come after the body are no headers of the request."""
    bearer = f"Authorization: Bearer {gateway.key}\r\n\r\n".encode()
    anonymous = head(
        "Content-Type: application/json", "Transfer-Encoding: chunked", "Connection: close"
    )
    chunks = b"%x\r\n%s\r\n0\r\n" % (len(GOOD), GOOD)
    answer = await raw(anonymous + chunks + bearer)
    assert answer.startswith(b"HTTP/1.1 401")
    assert (await ledger.one())["outcome"] == "invalid_api_key"
    assert not engine.bodies
    await recovers(gateway, engine)


async def test_of_pipelined_requests_the_first_is_answered(gateway, engine, raw, ledger) -> None:
    requests = get(b"/livez") + get(b"/v1/models") + get(b"/nowhere", b"Connection: close")
    answer = await raw(requests)
    statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200]  # and the connection is closed: the client sends the others again
    assert b"connection: close" in answer


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_leaving_with_a_pipelined_request_frees_the_engine(
    engine, gateway, ledger, recovers, stream
) -> None:
    """The connection's end concerns the request that is being answered, not the last one sent."""

    async def think(request: web.Request) -> web.StreamResponse:
        if stream:
            response = await engine.open_stream(request)
            await response.write(engine.chunk("a"))
        await asyncio.sleep(600)
        raise AssertionError

    engine.script = think
    body = json.dumps(json.loads(GOOD) | {"stream": stream}).encode()
    request = asks(gateway, f"Content-Length: {len(body)}") + body
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(request + get(b"/v1/models"))
    await asyncio.wait_for(engine.arrived.wait(), 30)
    await asyncio.sleep(0.1)
    writer.close()
    await engine.freed()
    assert (await ledger.one())["outcome"] == "client_left"
    await recovers(gateway, engine)


async def test_who_asks_before_sending_is_told_to_go_on(engine, gateway, raw, ledger) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    length = f"Content-Length: {len(GOOD)}"
    writer.write(asks(gateway, length, "Expect: 100-continue", "Connection: close"))
    assert (await asyncio.wait_for(reader.readline(), 30)).startswith(b"HTTP/1.1 100 ")
    writer.write(GOOD)
    assert b"HTTP/1.1 200 OK" in await asyncio.wait_for(reader.read(), 30)
    writer.close()
    assert (await ledger.one())["outcome"] == "answered"
    # Who may not ask is told so at once, and nothing else.
    answer = await raw(head(length, "Expect: 100-continue", "Connection: close"))
    assert answer.startswith(b"HTTP/1.1 401")
    assert (await ledger.one())["outcome"] == "invalid_api_key"


async def test_http_1_0(engine, gateway, raw, ledger) -> None:
    lines = f"Authorization: Bearer {gateway.key}", f"Content-Length: {len(GOOD)}"
    request = head(*lines, "Content-Type: application/json", request=f"POST {CHAT} HTTP/1.0")
    answer = await raw(request + GOOD)  # until it is closed, as that version wants
    assert answer.startswith(b"HTTP/1.1 200")
    assert (await ledger.one())["outcome"] == "answered"


JAVA = ("Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAA")
"""What java.net.http.HttpClient sends with its first request, beside the offer itself."""


def framed(gateway, body: bytes, *lines: str) -> tuple[bytes, ...]:
    """A chat request whose body is counted, in one chunk, and in chunks of a byte."""
    counted = asks(gateway, *lines, f"Content-Length: {len(body)}") + body
    chunked = asks(gateway, *lines, "Transfer-Encoding: chunked")
    single = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    return counted, chunked + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), chunked + single


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "TLS/1.0", "nonsense", ""])
async def test_an_offer_of_another_protocol_is_ignored(
    engine, gateway, raw, ledger, recovers, protocol
) -> None:
    """As RFC 9110, section 7.8, allows; the request is answered as if it made none."""
    offer = (f"Upgrade: {protocol}", *JAVA, "Connection: close")
    said = "Grüß Gott" * 99
    body = json.dumps(json.loads(GOOD) | {"messages": [{"role": "user", "content": said}]}).encode()
    for request in framed(gateway, body, *offer):
        answer = await raw(request)
        assert (answer[:12], answer.count(b"HTTP/1.1 ")) == (b"HTTP/1.1 200", 1)
        assert (await ledger.one())["outcome"] == "answered"
        [got] = engine.bodies
        assert json.loads(got)["messages"] == [{"role": "user", "content": said}]
        engine.bodies.clear()
    lines = [line.encode() for line in offer]
    answer = await raw(get(b"/v1/models", *lines, f"Authorization: Bearer {gateway.key}".encode()))
    assert b'"object":"list"' in answer
    await ledger.one()
    await recovers(gateway, engine)


async def test_an_offer_byte_by_byte(engine, gateway, ledger, recovers) -> None:
    """Wherever the packets end; and the connection goes on, with and without an offer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    for lines in (("Upgrade: h2c", *JAVA), (), ("Upgrade: h2c", *JAVA)):
        for request in framed(gateway, GOOD, *lines):
            for byte in request:
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            assert (await ledger.one())["outcome"] == "answered"
            await asyncio.sleep(0.05)
            await reader.read(65536)
    assert len(engine.bodies) == 9
    writer.close()
    await recovers(gateway, engine)


async def test_an_offer_smuggles_nothing(engine, gateway, raw, ledger, recovers) -> None:
    """What follows the head is the body that it declares; what lies about that is refused."""
    upgrade = ("Upgrade: h2c", *JAVA)
    hidden = get(b"/metrics", b"Connection: close")
    for request, outcome in (
        # A request in the place of the other protocol's first bytes is one that came too early.
        (head(*upgrade, request="GET /v1/models HTTP/1.1") + hidden, "invalid_api_key"),
        (asks(gateway, *upgrade, "Content-Length: 0") + hidden, "invalid_json"),
        (asks(gateway, *upgrade, "Transfer-Encoding: chunked") + b"0\r\n\r\n" + hidden,
         "invalid_json"),
        (asks(gateway, *upgrade, "Connection: close", f"Content-Length: {len(hidden)}") + hidden,
         "invalid_json"),
        # An offer within the body or among trailers is none.
        (asks(gateway, "Content-Length: 16") + b"Upgrade: h2c\r\n\r\n" + hidden, "invalid_json"),
        (asks(gateway, "Transfer-Encoding: chunked")
         + b"2\r\n{}\r\n0\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" + hidden,
         "missing_model"),
    ):  # fmt: skip
        answer = await raw(request)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"bedside_gateway" not in answer
        assert (await ledger.one())["outcome"] == outcome
    bad = {
        "length and chunks": ("Content-Length: 2", "Transfer-Encoding: chunked"),
        "two lengths": ("Content-Length: 2", "Content-Length: 3"),
        "a space before the colon": ("Content-Length : 2",),
        "a folded header": ("X-A: b", "  Content-Length: 2"),
        "a line end within a header": ("X-A: a\rContent-Length: 2",),
        "null in a header": ("X-A: a\x00b",),
        "chunks that are not the last coding": ("Transfer-Encoding: chunked, identity",),
    }
    for what, lines in bad.items():
        for order in ((*upgrade, *lines), (*lines, *upgrade)):
            status, body = parts(await raw(asks(gateway, *order) + b"{}"))
            assert (what, status, body["error"]["code"]) == (what, 400, "bad_http")
    many = [f"X-{number}: 1" for number in range(MAX_HEADERS)]
    assert parts(await raw(asks(gateway, *upgrade, *many)))[0] == 431
    assert not engine.bodies
    await recovers(gateway, engine)


async def test_a_body_behind_an_offer_must_hurry_too(engine, impatient, ledger, recovers) -> None:
    lines = ("Upgrade: h2c", *JAVA, "Content-Length: 5000")
    answer = await drip(impatient.port, asks(impatient, *lines), b"{")
    assert b"body_timeout" in answer
    assert (await ledger.one())["outcome"] == "body_timeout"
    await recovers(impatient, engine)


async def test_it_is_no_proxy(engine, gateway, raw, recovers) -> None:
    for lines in ((), ("Upgrade: h2c", *JAVA)):
        request = head(*lines, request="CONNECT db:5432 HTTP/1.1")
        status, body = parts(await raw(request + get(b"/metrics")))
        assert (status, body["error"]["code"]) == (400, "no_tunnel")
    await recovers(gateway, engine)


async def test_one_host(engine, gateway, raw, recovers) -> None:
    """RFC 9112, section 3.2; before that version a request needed none."""
    end = "Connection: close\r\n\r\n"
    for version, hosts, status in (
        ("1.1", "Host: x\r\n", 200),
        ("1.1", "Host:\r\n", 200),
        ("1.1", "", 400),
        ("1.1", "Host: x\r\nHost: x\r\n", 400),
        ("1.1", "Host: x\r\nhost: y\r\n", 400),
        ("1.1", "X-Forwarded-Host: x\r\n", 400),
        ("1.0", "", 200),
        ("1.0", "Host: x\r\n", 200),
        ("1.0", "Host: x\r\nHost: y\r\n", 400),
    ):
        for offer in ("", "Upgrade: h2c\r\n" + "\r\n".join((*JAVA, ""))):
            request = f"GET /livez HTTP/{version}\r\n{hosts}{offer}{end}"
            found, body = parts(await raw(request.encode()))
            assert (version, hosts, found) == (version, hosts, status)
            if status == 400:
                assert body["error"]["code"] == "bad_host"
    await recovers(gateway, engine)


PATHS = (
    *("//v1/chat/completions", "/v1//chat/completions", "/v1/chat/completions/", "/V1/models"),
    *("/v1/./chat/completions", "/livez/../v1/chat/completions", "/v1/models/../chat/completions"),
    *("/v1/%2e%2e/v1/chat/completions", "/v1/models%00", "/v1/models;x=1", "/v1/models%20"),
    *("/livez%2f..%2fv1%2fmodels", "/%5c/v1/models", "/v1/models/%ff", "/v1/models/test%00"),
    *("/v1/models/..%2f..%2fmetrics", "/v1/models/%2e%2e/%2e%2e/livez", "/v1/models%3f", "/."),
    *("/v1/models%23", "/v1/chat/completions%0d%0aX-A:b", "/v1/models/%252e", "//", "/%2f"),
)
RENAMED = (
    "/%76%31/models",
    "/v1%2fmodels",
    "/v1/models?a=/livez",
    "/v1/models?",
    "/v1/models/test",
)
"""The same route in other words."""


@pytest.mark.usefixtures("recorded_whole")
async def test_paths_that_only_look_like_a_route(engine, gateway, raw, ledger, recovers) -> None:
    bearer = f"Authorization: Bearer {gateway.key}".encode()
    for method, path in [(m, p) for m in (b"GET", b"POST") for p in PATHS]:
        for lines in ([bearer], []):
            request = get(path.encode(), b"Connection: close", *lines, method=method)
            status, body = parts(await raw(request))
            assert (path, status) in ((path, 404), (path, 401), (path, 405))
            assert set(body) == {"error"}
        for record in await ledger.take(2):
            assert record["route"] in ("unknown", "/v1/models/{name}")
    assert not engine.bodies
    await recovers(gateway, engine)


@pytest.mark.parametrize("origin", ["", "http://other.example", "https://x:1", "//other.example"])
async def test_another_spelling_needs_the_same_key(engine, gateway, raw, ledger, origin) -> None:
    bearer = f"Authorization: Bearer {gateway.key}".encode()
    for path in RENAMED:
        target = f"{origin}{path}".encode()
        assert (await raw(get(target, b"Connection: close")))[:12] in (
            b"HTTP/1.1 401", b"HTTP/1.1 404",
        )  # fmt: skip
        record = await ledger.one()
        assert record["pseudonym"] is None
        assert record["route"] in ("/v1/models", "/v1/models/{name}", "unknown")
        await raw(get(target, b"Connection: close", bearer))
        await ledger.one()


HOSTS = (
    *("x/livez?", "x/livez#", "x/livez", "/livez", "/metrics", "a b", "\\livez", "[::1]:1/livez"),
    *("x@livez", "livez", "", "x\xe4", "x:99999/livez?", "%2flivez"),
)


@pytest.mark.usefixtures("recorded_whole")
async def test_a_host_opens_no_protected_route(engine, gateway, raw, ledger, recovers) -> None:
    """What `request.url` makes of such a host once opened other servers (CVE-2026-48746)."""
    for method, path in PROTECTED:
        sent = 0
        for host in HOSTS:
            for name in (
                "Host",
                "X-Forwarded-Host",
                "X-Original-URL",
                "X-Rewrite-URL",
                "Forwarded",
            ):
                lines = f"{name}: {host}\r\nConnection: close"
                if name != "Host":
                    lines += "\r\nHost: x"
                request = f"{method} {path} HTTP/1.1\r\n{lines}\r\n\r\n"
                answer = await raw(request.encode("latin-1"))
                assert answer[:12] == b"HTTP/1.1 401", (host, name)
                assert b'"object"' not in answer
                sent += 1
        for record in await ledger.take(sent):
            assert (record["route"].partition("{")[0] in path, record["pseudonym"]) == (True, None)
    assert not engine.bodies
    await recovers(gateway, engine)


async def test_odd_credentials(engine, gateway, raw, ledger, recovers) -> None:
    key = gateway.key.encode()
    for value in (
        *(b"Bearer \xff\xfe", b"Bearer " + key + b"\xc3\xa4", "Bearer Schlüssel".encode(), b"\xff"),
        *(b"Bearer " + b"a" * 20000, b"Bearer,Bearer " + key, b"Bearer bsk-" + b"\xe4" * 43),
        *(b"Basic " + key, b"bearer\t" + key, key, b"Bearer\xa0" + key),
    ):
        answer = await raw(get(b"/v1/models", b"Authorization: " + value, b"Connection: close"))
        assert (value, answer[:12]) == (value, b"HTTP/1.1 401")
        assert (await ledger.one())["outcome"] == "invalid_api_key"
    two = [b"Authorization: Bearer wrong", b"Authorization: Bearer " + key]
    for lines in (two, two[::-1]):
        answer = await raw(get(b"/v1/models", *lines, b"Connection: close"))
        assert (lines == two, answer[:12]) in ((True, b"HTTP/1.1 401"), (False, b"HTTP/1.1 200"))
        await ledger.one()
    await recovers(gateway, engine)


async def test_a_hundred_connections_that_say_nothing(engine, gateway, hurried, recovers) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    await recovers(gateway, engine)
    before = open_files()
    idle = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(100)]
    await recovers(gateway, engine)  # meanwhile others are served
    for reader, _ in idle:
        assert b"headers_timeout" in await asyncio.wait_for(reader.read(), 30)
    for _, writer in idle:
        writer.close()
        await writer.wait_closed()
    assert open_files() <= before + 2
