"""Work beside the event loop: one piece at a time, results and errors as if it were there."""

from __future__ import annotations

import asyncio
import threading

import pytest

from bedside_inference.gateway.aside import aside


async def test_the_loop_goes_on_and_one_thread_works() -> None:
    go_on, names = threading.Event(), []

    def work(number: int) -> int:
        names.append(threading.current_thread().name)
        assert go_on.wait(30)
        return number

    tasks = [asyncio.create_task(aside(work, number)) for number in range(5)]
    await asyncio.sleep(0.05)
    assert len(names) == 1
    go_on.set()
    assert await asyncio.gather(*tasks) == [0, 1, 2, 3, 4]
    assert len(set(names)) == 1


async def test_an_error_comes_back() -> None:
    with pytest.raises(KeyError):
        await aside({}.__getitem__, "a")
