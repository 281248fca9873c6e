"""Steps at a server, which neither a client that leaves nor a silent server may hold up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from bedside_inference.gateway.access.rates.meter import ANSWER_SECONDS

T = TypeVar("T")


class Steps:
    """Those under way, each in a task of its own.

    A client that leaves does not break the connection that others use. A library that closes a
    connection of its own accord may wait for the server once more; nobody waits for that.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def take(self, step: Coroutine[Any, Any, T]) -> T:
        """What the step returns or raises.

        Raises:
            TimeoutError: no end within `ANSWER_SECONDS`; the step is cancelled.
        """
        task = asyncio.create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        done, _ = await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        if not done:
            task.cancel()
            raise TimeoutError
        return task.result()

    async def ended(self) -> None:
        """Give those under way as much time as they have anyway."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=ANSWER_SECONDS)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left to look at it
