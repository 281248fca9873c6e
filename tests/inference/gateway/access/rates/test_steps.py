"""Steps at a server that is silent, or whose client has left."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from bedside_inference.gateway.access.rates import steps
from bedside_inference.gateway.access.rates.steps import Steps


async def test_cancelling_is_not_waited_for(monkeypatch) -> None:
    monkeypatch.setattr(steps, "ANSWER_SECONDS", 0.01)
    closed = asyncio.Event()

    async def step() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            # As of a library that closes its connection to a frozen server.
            await closed.wait()

    tested = Steps()
    with pytest.raises(TimeoutError):
        await tested.take(step())
    assert len(tested._tasks) == 1
    closed.set()
    await tested.ended()
    assert not tested._tasks


async def test_a_client_that_leaves_does_not_end_the_step() -> None:
    may, ended = asyncio.Event(), asyncio.Event()

    async def step() -> None:
        await may.wait()
        ended.set()

    tested = Steps()
    client = asyncio.create_task(tested.take(step()))
    await asyncio.sleep(0)
    client.cancel()
    with suppress(asyncio.CancelledError):
        await client
    assert client.cancelled()
    may.set()
    await tested.ended()
    assert ended.is_set()
