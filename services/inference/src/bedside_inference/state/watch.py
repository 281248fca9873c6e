"""A gateway's view of the state: never older than it admits."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic

from bedside_inference.background import Recurring, thread_beside
from bedside_inference.config import StateConfig
from bedside_inference.state.errors import StateUnavailable
from bedside_inference.state.records import State
from bedside_inference.state.store import Store

logger = logging.getLogger(__name__)


class Watch:
    """Looks for changes in the background, so that no request waits for the database."""

    def __init__(self, store: Store, config: StateConfig) -> None:
        self.on_change: Callable[[State], None] = lambda state: None
        """Called in the event loop with each new state, the first included."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._store, self._config = store, config
        self._state: State | None = None
        self._seen = 0.0
        """When the last look that succeeded began, monotonic seconds."""
        self.looking = Recurring(logger, "the state database is away", "the state database is back")

    @property
    def state(self) -> State:
        """What the database said at most `stale_seconds` ago.

        Raises:
            StateUnavailable: it has not answered for longer.
        """
        if self._state is None or monotonic() - self._seen > self._config.stale_seconds:
            raise StateUnavailable(
                "the state database does not answer - nobody is let in until it does"
            )
        return self._state

    @property
    def age(self) -> float:
        """Seconds since the last look that succeeded began."""
        return monotonic() - self._seen

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look once, and go on looking until the end of the block."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._look)
        async with thread_beside("state", self._watch):
            yield

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(self._config.poll_seconds):
            self._look()

    def _look(self) -> None:
        began = monotonic()
        with self.looking.attempt():
            state = self._read()
        if self.looking.failing:
            return
        changed = state is not self._state
        self._state, self._seen = state, began
        if changed and self._loop is not None:
            with suppress(RuntimeError):  # the loop has just ended
                self._loop.call_soon_threadsafe(self.on_change, state)

    def _read(self) -> State:
        known = self._state
        # After an outage the same number may stand for something else: a restored copy counts on.
        if (
            known is not None
            and not self.looking.failing
            and self._store.revision() == known.revision
        ):
            return known
        return self._store.snapshot()
