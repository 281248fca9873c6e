"""One answer of an engine, in whatever pieces it comes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_inference.gateway.engines.call import MAX_HEAD_BYTES, UNREAD_BYTES, Broken, Call
from bedside_inference.gateway.engines.client import Names

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/Event-Stream; charset=utf-8\r\nX-A: b\r\n"


class Wire(asyncio.Transport):
    """What a call does to its connection."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.reading, self.cut = True, False

    def write(self, data: bytes) -> None:
        self.sent += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.cut = True


def connected() -> tuple[Call, Wire]:
    call, wire = Call(b"GET / HTTP/1.1\r\n\r\n"), Wire()
    call.connection_made(wire)
    return call, wire


def framed(parts: list[bytes], *, chunked: bool) -> bytes:
    if chunked:
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
        return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX-A: trailer\r\n\r\n"
    body = b"".join(parts)
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def feed(call: Call, raw: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    for begin, end in pairwise(places):
        call.data_received(raw[begin:end])


BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=8)
CUTS = st.lists(st.integers(min_value=0, max_value=1 << 12), max_size=12)


@given(BODIES, st.booleans(), CUTS, st.integers(min_value=0, max_value=2))
async def test_any_cuts_make_the_same_answer(parts, chunked, cuts, interim) -> None:
    call, wire = connected()
    raw = b"HTTP/1.1 103 Early Hints\r\nX-A: early\r\n\r\n" * interim + framed(
        parts, chunked=chunked
    )
    feed(call, raw, cuts)
    await call.begun()
    assert (call.status, call.content_type, call.headers["x-a"]) == (200, "text/event-stream", "b")
    assert await call.whole(1 << 20) == b"".join(parts)
    assert await call.read() == b""
    assert wire.sent == b"GET / HTTP/1.1\r\n\r\n"


@given(BODIES, st.booleans(), CUTS, st.integers(min_value=1))
async def test_whatever_is_missing_is_noticed(parts, chunked, cuts, missing) -> None:
    call, _ = connected()
    raw = framed(parts, chunked=chunked)
    feed(call, raw[: -(missing % len(raw) + 1)], cuts)
    call.connection_lost(None)
    with pytest.raises(Broken):
        await call.begun()
        await call.whole(1 << 20)


@given(st.binary(max_size=200), CUTS)
async def test_garbage_ends_the_call(raw, cuts) -> None:
    call, _ = connected()
    feed(call, raw, cuts)
    call.connection_lost(None)
    with pytest.raises(Broken):
        await call.begun()


async def test_what_comes_after_an_answer_is_nobodys() -> None:
    call, _ = connected()
    call.data_received(framed([b"mine"], chunked=False) + framed([b"not mine"], chunked=False))
    call.data_received(framed([b"not mine"], chunked=True))
    assert await call.whole(100) == b"mine"


async def test_nothing_is_read_ahead_without_bound() -> None:
    call, wire = connected()
    call.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
    call.data_received(piece)
    assert wire.reading
    call.data_received(piece)
    assert not wire.reading
    assert len(await call.read()) == 2 * UNREAD_BYTES
    assert wire.reading


@pytest.mark.parametrize(
    "begin", [b"", b"HTTP/1.1 200 OK\r\nX-A: ", framed([b"a"], chunked=True)[:-20]]
)
async def test_a_head_or_trailer_without_end_is_given_up(begin) -> None:
    call, wire = connected()
    for _ in range(MAX_HEAD_BYTES // 1024 + 1):
        assert not wire.cut
        call.data_received(begin + b"a" * 1024)
        begin = b""
        if wire.cut:
            break
    assert wire.cut
    with pytest.raises(Broken):
        await call.begun()
        await call.whole(100)


async def test_more_than_was_asked_for_is_broken() -> None:
    call, _ = connected()
    call.data_received(framed([b"12345"], chunked=False))
    with pytest.raises(Broken):
        await call.whole(4)


async def test_leaving_cuts_the_connection_and_lets_go_of_it() -> None:
    call, wire = connected()
    reading = asyncio.create_task(call.begun())
    await asyncio.sleep(0)
    call.close()
    call.connection_lost(None)
    assert wire.cut
    with pytest.raises(Broken):
        await reading


@pytest.fixture
async def house(monkeypatch) -> AsyncIterator[Names]:
    """A name with two addresses, at the second of which somebody listens."""
    asked = Counter()

    async def resolve(host: str, port: int, **options: object) -> list[tuple]:
        asked[host] += 1
        return [(2, 1, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    found = Names("engine", server.sockets[0].getsockname()[1])
    found.asked, found.server = asked, server
    yield found
    server.close()


async def test_a_name_is_asked_for_again_only_when_nobody_is_there(house) -> None:
    for _ in range(2):
        call = Call(b"")
        await house.connect(call)
        call.close()
    assert house.asked == {"engine": 1}
    house.server.close()
    await house.server.wait_closed()
    with pytest.raises(OSError):
        await house.connect(Call(b""))
    with pytest.raises(OSError):
        await house.connect(Call(b""))
    assert house.asked == {"engine": 2}


async def test_what_is_poured_needs_no_task() -> None:
    call, _ = connected()
    call.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    assert await call.read() == b"a"
    taken: list[bytes] = []
    pouring = asyncio.create_task(call.pour(lambda piece: taken.append(piece) or piece != b"c"))
    await asyncio.sleep(0)
    call.data_received(b"1\r\nb\r\n")
    assert taken == [b"b"]
    call.data_received(b"1\r\nc\r\n")  # taken too, and no more after it
    call.data_received(b"1\r\nd\r\n")
    await pouring
    assert taken == [b"b", b"c"]
    assert await call.read() == b"d"


@pytest.mark.parametrize("end", [b"1\r\nb\r\n0\r\n\r\n", b"0\r\n\r\n", b"x", b""])
async def test_pouring_ends_with_the_answer(end) -> None:
    call, _ = connected()
    call.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    assert await call.read() == b"a"
    pouring = asyncio.create_task(call.pour(lambda piece: True))
    await asyncio.sleep(0)
    call.data_received(end)
    call.connection_lost(None)
    await pouring
    if end.endswith(b"0\r\n\r\n"):
        assert await call.read() == b""
    else:
        with pytest.raises(Broken):
            await call.read()


async def test_whoever_takes_may_fail() -> None:
    call, _ = connected()
    call.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    assert await call.read() == b"a"

    def refuse(piece: bytes) -> bool:
        raise LookupError

    pouring = asyncio.create_task(call.pour(refuse))
    await asyncio.sleep(0)
    call.data_received(b"1\r\nb\r\n")
    with pytest.raises(LookupError):
        await pouring
