"""When each key was last used, to the day: written once a day and key, beside the requests."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

from bedside_inference.background import Recurring
from bedside_inference.state.store import Store

logger = logging.getLogger(__name__)

WRITE_SECONDS = 60.0
END_SECONDS = 1.0
"""How long the end waits for a write that has begun; after that a day may be missing."""


class KeyUses:
    """What one gateway process has seen."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._day: date | None = None
        self._known: set[str] = set()
        """Keys whose use of this day is written."""
        self._seen: set[str] = set()
        """Keys whose use is not."""
        self.writing = Recurring(
            logger, "last use of keys not written", "last use of keys written again"
        )

    def note(self, key_id: str) -> None:
        """Take note of a use; nothing waits for the database."""
        if key_id not in self._known:
            with self._lock:
                self._seen.add(key_id)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write until the end of the block, and once more then.

        In a thread of its own, as `Watch`: a server that never answers must not keep the process.
        """
        ended = threading.Event()
        thread = threading.Thread(target=self._keep, args=(ended,), name="uses", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            await asyncio.to_thread(thread.join, END_SECONDS)

    def _keep(self, ended: threading.Event) -> None:
        while not ended.wait(WRITE_SECONDS):
            self.write()
        self.write()

    def write(self) -> None:
        """Write what was noted; what cannot be written is kept for the next time."""
        today = datetime.now(UTC).date()
        with self._lock:
            if today != self._day:
                self._day, self._known = today, set()
            seen, self._seen = self._seen, set()
        if not seen:
            return
        with self.writing.attempt():
            self._store.note_uses(seen, today)
        with self._lock:
            if self.writing.failing:
                self._seen |= seen
            else:
                self._known |= seen
