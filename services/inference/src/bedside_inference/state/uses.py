"""When each key was last used, to the day: written once a day and key, beside the requests."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

from bedside_inference.background import Recurring, thread_beside
from bedside_inference.state.store import Store

logger = logging.getLogger(__name__)

WRITE_SECONDS = 60.0


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
        """Write until the end of the block, and once more then, if the database answers soon."""
        async with thread_beside("uses", self._keep):
            yield

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
