"""A deadline that is moved along ends what does not get on, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from bedside_inference.gateway.deadline import Deadline
from bedside_inference.gateway.errors import ApiError, engine_silent, model_stopped


async def test_what_gets_on_is_left_alone(monkeypatch) -> None:
    loop, ahead = asyncio.get_running_loop(), 0
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + ahead)
    async with Deadline() as deadline:
        for _ in range(8):
            deadline.allow(100, engine_silent())
            ahead += 40
            await asyncio.sleep(0.01)  # what is due rings


async def test_the_last_deadline_counts() -> None:
    with pytest.raises(ApiError, match="engine_timeout"):
        async with Deadline() as deadline:
            deadline.allow(30, model_stopped())
            deadline.allow(0.02, engine_silent())
            await asyncio.sleep(600)


async def test_a_later_deadline_takes_the_place_of_an_earlier_one() -> None:
    with pytest.raises(ApiError, match="model_stopped"):
        async with Deadline() as deadline:
            deadline.allow(0.02, engine_silent())
            deadline.allow(0.1, model_stopped())
            await asyncio.sleep(0.05)
            await asyncio.sleep(600)


async def test_the_end_at_once() -> None:
    async def stop(deadline: Deadline) -> None:
        deadline.end(model_stopped())

    with pytest.raises(ApiError, match="model_stopped"):
        async with Deadline() as deadline:
            deadline.allow(30, engine_silent())
            ending = asyncio.create_task(stop(deadline))
            await asyncio.sleep(600)
    await ending


async def test_a_deadline_of_now_may_still_be_moved() -> None:
    """uvloop's timer for it is none: it cannot be asked when it rings."""
    async with Deadline() as deadline:
        for seconds in (0, 0, 30):
            deadline.allow(seconds, engine_silent())
        await asyncio.sleep(0.01)


async def test_what_gets_on_meanwhile_does_not_undo_the_end() -> None:
    """A chunk may come between the end and the cancellation that follows it."""
    with pytest.raises(ApiError, match="model_stopped"):
        async with Deadline() as deadline:
            deadline.allow(30, engine_silent())
            deadline.end(model_stopped())
            deadline.allow(30, engine_silent())
            deadline.end(engine_silent())
            await asyncio.sleep(600)


async def test_what_is_still_passed_on_at_the_end_changes_no_error() -> None:
    with pytest.raises(ApiError, match="engine_timeout"):
        async with Deadline() as deadline:
            deadline.allow(0.01, engine_silent())
            try:
                await asyncio.sleep(600)
            finally:
                deadline.allow(30, model_stopped())


async def test_a_cancelled_task_stays_cancelled() -> None:
    async def wait() -> None:
        async with Deadline() as deadline:
            deadline.allow(600, engine_silent())
            await asyncio.sleep(600)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_other_errors_pass() -> None:
    with pytest.raises(ValueError, match="bug"):
        async with Deadline() as deadline:
            deadline.allow(0.01, engine_silent())
            raise ValueError("bug")
    await asyncio.sleep(0.03)  # no timer is left that could ring
