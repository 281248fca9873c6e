"""Work that a gateway does again and again beside its requests, whatever goes wrong with it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from bedside_core import log

END_SECONDS = 1.0
"""How long the end waits for what a thread has begun."""


@asynccontextmanager
async def thread_beside(name: str, work: Callable[[threading.Event], None]) -> AsyncIterator[None]:
    """Have a thread of its own work until the end of the block, which its event tells.

    A daemon: one that waits for a server that never answers must not keep the process.
    """
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        await asyncio.to_thread(thread.join, END_SECONDS)


class Recurring:
    """One kind of such work: its failures are logged once each time they begin, and all counted."""

    def __init__(self, logger: logging.Logger, failed: str, back: str) -> None:
        """`failed` and `back`: the events of the log, fixed words."""
        self._logger, self._failed, self._back = logger, failed, back
        self.failing = False
        """Whether it failed the last time."""
        self.failures = 0
        """For the metric `background_failures`."""

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Do it once; what goes wrong ends the block, not the loop around it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a loop that a bug ends would end unnoticed
            self.failures += 1
            if not self.failing:
                self._logger.error(self._failed, extra=log.fields(cause=error))  # noqa: TRY400
            self.failing = True
        else:
            if self.failing:
                self._logger.info(self._back)
            self.failing = False
