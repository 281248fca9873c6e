"""Two engines behind one name: switch, trial, rollback, stop, and an engine that goes away."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack, closing

import pytest
from aiohttp import web

from bedside_core.registry.pin import Pin
from bedside_inference import aliases, keys
from bedside_inference.config import HealthConfig
from bedside_inference.gateway.engines import client as engine_client
from bedside_inference.paths import socket_path
from bedside_inference.state.store import Store

OLD, NEW = "ab" * 32, "cd" * 32


def unrecorded(action: str, /, **ids: str | int) -> None:
    """In the place of the audit."""


@pytest.fixture
def store(config, home):
    with closing(Store.open(config.state, home)) as found:
        yield found


@pytest.fixture
def twins(second, served) -> None:
    """Both engines have the same model from the start."""
    second.served = served


@pytest.fixture
async def both(engine, second, config, home, open_gateway):
    """A gateway in front of two engines with a model each."""
    sockets = (str(socket_path(config, home)), str(home / "run" / "second.sock"))
    section = config.gateway.model_copy(update={"engines": sockets})
    async with open_gateway(config.model_copy(update={"gateway": section})) as door:
        yield door


async def answering(door, key: str | None = None) -> str:
    """The digest behind an answer, or the code of the refusal."""
    headers = {"Authorization": f"Bearer {key or door.key}"}
    body = json.dumps({"model": "test", "messages": [{"role": "user", "content": "a"}]}).encode()
    async with door.post(body, headers=headers) as answer:
        if answer.status == 200:
            return answer.headers["x-bedside-model"]
        return (await answer.json())["error"]["code"]


async def until(door, wanted: str, *, pause: float = 0.02) -> None:
    """Wait until all answers come from there; two engines would take turns."""
    async with asyncio.timeout(30):
        while {await answering(door) for _ in range(4)} != {wanted}:
            await asyncio.sleep(pause)


async def test_switch_and_rollback(both, store) -> None:
    aliases.switch(store, "test", OLD, audit=unrecorded)
    await until(both, OLD)
    aliases.switch(store, "test", NEW, audit=unrecorded)
    await until(both, NEW)
    assert {await answering(both) for _ in range(10)} == {NEW}
    async with both.session.get(f"{both.url}/readyz") as answer:
        assert (await answer.json())["verdict"] == "PROMOTE"
    aliases.rollback(store, "test", audit=unrecorded)
    await until(both, OLD)


@pytest.mark.parametrize("anchor", ["f" * 64, None])
async def test_a_proof_under_another_key_than_the_pinned_one(
    gateway, engine, served, anchor
) -> None:
    """The engine's registry was replaced as a whole, or it pins another house."""
    engine.served = served.model_copy(update={"verdict": "PROMOTE", "anchor": anchor})
    await until(gateway, "model_foreign")
    async with gateway.session.get(f"{gateway.url}/readyz") as answer:
        assert (answer.status, await answer.json()) == (503, {"status": "model foreign"})
    engine.served = served.model_copy(update={"verdict": "PROMOTE"})
    await until(gateway, served.model)


async def test_a_gateway_without_a_pin_takes_no_proof(gateway, engine, served, home) -> None:
    engine.served = served.model_copy(update={"verdict": "PROMOTE"})
    await until(gateway, served.model)
    pin = Pin.beside(home)
    for content in (b"garbage", None):
        pin.path.unlink() if content is None else pin.path.write_bytes(content)
        engine.healthy = False
        # An engine that answers is not asked how it is: leave it time to be.
        await until(gateway, "model_loading", pause=1)
        engine.healthy = True
        await until(gateway, "model_foreign", pause=1)
    engine.served = served  # it claims nothing, and every answer says so
    await until(gateway, served.model)


async def test_a_stream_finishes_on_the_old_engine(both, store, engine, second) -> None:
    aliases.switch(store, "test", OLD, audit=unrecorded)
    await until(both, OLD)
    go_on = asyncio.Event()

    async def wait_then_finish(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("a"))
        await go_on.wait()
        await response.write(b"data: [DONE]\n\n")
        return response

    engine.script = wait_then_finish
    async with both.chat(stream=True) as answer:
        await answer.content.readexactly(len(engine.marked(engine.chunk("a"))))
        aliases.switch(store, "test", NEW, audit=unrecorded)
        await until(both, NEW)
        go_on.set()
        assert await answer.content.read() == b"data: [DONE]\n\n"
        assert answer.headers["x-bedside-model"] == OLD


async def test_a_trial_keeps_each_caller_on_its_side(both, store, make_key) -> None:
    keys = [make_key().secret for _ in range(40)]
    aliases.switch(store, "test", OLD, audit=unrecorded)
    aliases.canary(store, "test", NEW, share=0.5, audit=unrecorded)
    async with asyncio.timeout(30):
        while NEW not in [await answering(both, key) for key in keys]:
            await asyncio.sleep(0.02)
    first = [await answering(both, key) for key in keys]
    assert [await answering(both, key) for key in keys] == first
    assert 8 <= Counter(first)[NEW] <= 32


async def test_without_its_engine_a_trial_falls_back(both, store, second) -> None:
    aliases.switch(store, "test", OLD, audit=unrecorded)
    aliases.canary(store, "test", NEW, share=1, audit=unrecorded)
    await until(both, NEW)
    await second.runner.cleanup()
    await until(both, OLD)


def withdraw(engine) -> None:
    """Say what an engine says in its last seconds, see `engine/door.py`."""
    engine.healthy = False
    engine.served = engine.served.model_copy(update={"withdrawn": True})


async def test_a_withdrawn_model_is_told_until_another_is_there(both, engine, second) -> None:
    fresh = second.served
    withdraw(engine)
    await until(both, NEW)
    withdraw(second)
    await until(both, "model_withdrawn")
    async with both.session.get(f"{both.url}/readyz") as answer:
        assert (answer.status, await answer.json()) == (503, {"status": "model withdrawn"})
    await engine.runner.cleanup()
    await asyncio.sleep(0.2)  # some looks at nobody
    assert await answering(both) == "model_withdrawn"
    second.healthy, second.served = True, fresh
    await until(both, NEW)


async def test_a_switch_to_what_no_engine_serves(both, store) -> None:
    aliases.switch(store, "test", "ef" * 32, audit=unrecorded)
    await until(both, "model_loading")


async def test_the_kill_switch_ends_streams_in_the_midst_of_a_chunk(both, store, engine) -> None:
    """A chunk comes at every moment of the ending."""
    aliases.switch(store, "test", OLD, audit=unrecorded)
    await until(both, OLD)

    async def talk(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        while True:
            await response.write(engine.chunk("a"))
            await asyncio.sleep(0.001)

    normal, engine.script = engine.script, talk
    for _ in range(4):
        async with AsyncExitStack() as stack:
            asked = [both.chat(stream=True) for _ in range(24)]
            answers = [await stack.enter_async_context(one) for one in asked]
            assert {answer.status for answer in answers} == {200}
            await asyncio.to_thread(aliases.stop, store, OLD, audit=unrecorded)
            async with asyncio.timeout(30):
                said = await asyncio.gather(*(answer.content.read() for answer in answers))
        last = [events.rstrip().rpartition(b"data: ")[2] for events in said]
        assert {json.loads(event)["error"]["code"] for event in last} == {"model_stopped"}
        await engine.freed()
        await asyncio.to_thread(aliases.resume, store, OLD, audit=unrecorded)
        engine.script = normal
        await until(both, OLD)
        engine.script = talk


async def test_the_kill_switch_ends_streams_at_once(both, store, engine) -> None:
    aliases.switch(store, "test", OLD, audit=unrecorded)
    await until(both, OLD)

    async def endless(request: web.Request) -> web.StreamResponse:
        if not json.loads(await request.read()).get("stream"):
            await asyncio.sleep(600)
        response = await engine.open_stream(request)
        await response.write(engine.chunk("a"))
        await asyncio.sleep(600)
        return response

    engine.script = endless
    waiting = asyncio.create_task(both.chat().__aenter__())  # not streaming
    async with both.chat(stream=True) as answer:
        await answer.content.readexactly(len(engine.marked(engine.chunk("a"))))
        aliases.stop(store, OLD, audit=unrecorded)
        async with asyncio.timeout(30):  # the engine would go on for ten minutes
            rest = await answer.content.read()
    assert json.loads(rest.removeprefix(b"data: "))["error"]["code"] == "model_stopped"
    assert b"[DONE]" not in rest
    refused = await waiting
    assert refused.status == 503
    assert (await refused.json())["error"]["code"] == "model_stopped"
    await engine.freed()
    assert await answering(both) == "model_stopped"
    async with both.session.get(f"{both.url}/readyz") as answer:
        assert (answer.status, (await answer.json())["status"]) == (503, "model stopped")
    aliases.resume(store, OLD, audit=unrecorded)
    engine.script = type(engine).__dataclass_fields__["script"].default
    await until(both, OLD)


async def test_nothing_follows_the_end_of_a_stream(both, store, engine) -> None:
    aliases.switch(store, "test", OLD, audit=unrecorded)
    await until(both, OLD)
    whole = engine.chunk("a") + b"data: [DONE]\n\n"

    async def never_closes(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(whole)
        await asyncio.sleep(600)
        return response

    engine.script = never_closes
    async with both.chat(stream=True) as answer:
        assert await answer.content.readexactly(len(engine.marked(whole))) == engine.marked(whole)
        aliases.stop(store, OLD, audit=unrecorded)
        async with asyncio.timeout(30):
            assert await answer.content.read() == b""
    await engine.freed()


async def test_a_stopped_model_is_avoided_where_another_may_answer(both, store) -> None:
    aliases.stop(store, OLD, audit=unrecorded)
    await until(both, NEW)
    assert {await answering(both) for _ in range(10)} == {NEW}


async def test_work_is_shared_and_an_engine_that_goes_is_passed_over(
    engine, second, twins, both
) -> None:
    await until(both, OLD)
    assert engine.bodies
    assert second.bodies
    await engine.runner.cleanup()
    assert [await answering(both) for _ in range(10)] == [OLD] * 10


async def test_an_engine_that_takes_no_more_is_passed_over(engine, second, twins, both) -> None:

    async def full(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "queue is full"}}, status=503)

    await until(both, OLD)
    engine.script = full
    assert [await answering(both) for _ in range(6)] == [OLD] * 6
    second.script = full
    assert await answering(both) == "engine_busy"


async def test_nothing_is_tried_twice_once_it_has_begun(engine, second, twins, both) -> None:

    async def die(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    await until(both, OLD)
    engine.script = second.script = die
    before = len(engine.bodies) + len(second.bodies)
    assert await answering(both) == "engine_error"
    assert len(engine.bodies) + len(second.bodies) == before + 1


async def test_an_engine_that_comes_back_with_another_model_is_not_believed(
    engine, config, open_gateway, served
) -> None:
    """Between two looks: what it serves now may be stopped, or not what was switched to."""
    slow = config.gateway.model_copy(update={"health": HealthConfig(interval_seconds=30)})
    async with open_gateway(config.model_copy(update={"gateway": slow})) as door:
        assert await answering(door) == OLD
        engine.served = served.model_copy(update={"model": NEW})
        assert await answering(door) == "model_loading"


async def test_an_engine_that_only_loads_is_loading_to_clients(
    config, home, gateway, monkeypatch
) -> None:
    """Whoever takes its connections and says nothing, as the address of a pod that just begins."""
    monkeypatch.setattr(engine_client, "PROBE_SECONDS", 0.05)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    path = socket_path(config, home)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    async with await asyncio.start_unix_server(silent, str(path)):
        for _ in range(20):
            assert await answering(gateway) == "model_loading"
            async with gateway.session.get(f"{gateway.url}/readyz") as ready:
                assert await ready.json() == {"status": "model loading"}
            await asyncio.sleep(0.05)


async def test_a_revoked_key_ends_what_it_asked_for(both, store, engine, second, make_key) -> None:
    """Its stream with an event that says so, an answer in one piece with the error; no other's."""

    async def endless(request: web.Request) -> web.StreamResponse:
        if not json.loads(await request.read()).get("stream"):
            await asyncio.sleep(600)
        response = await engine.open_stream(request)
        await response.write(engine.chunk("a"))
        await asyncio.sleep(600)
        return response

    engine.script = second.script = endless
    other, both.key = both.key, (made := make_key()).secret
    await both.looked()
    waiting = asyncio.create_task(both.chat().__aenter__())
    async with both.chat(stream=True) as answer:
        await answer.content.readexactly(len(engine.marked(engine.chunk("a"))))
        both.key = other
        async with both.chat(stream=True) as unconcerned:
            await unconcerned.content.readexactly(len(engine.marked(engine.chunk("a"))))
            keys.revoke(store, made.id, audit=unrecorded)
            async with asyncio.timeout(10):  # ten times what is promised
                rest = await answer.content.read()
                refused = await waiting
            assert json.loads(rest.removeprefix(b"data: "))["error"]["code"] == "key_revoked"
            assert b"[DONE]" not in rest
            assert refused.status == 401
            assert (await refused.json())["error"]["code"] == "key_revoked"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await unconcerned.content.read()
