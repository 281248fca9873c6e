"""One deadline at a time for a request, moved along as it gets on."""

from __future__ import annotations

import asyncio
from types import TracebackType

from bedside_inference.gateway.errors import ApiError

TICK_SECONDS = 0.001
"""What uvloop's clock counts in."""


class Deadline:
    """An asynchronous context that ends with an `ApiError` when the present deadline passes.

    Moving it only stores it, because this happens once per token; the timer checks the stored value
    when it fires, and is set anew if there is time left.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = self._due = 0.0
        self._error: ApiError | None = None
        self._over = False

    async def __aenter__(self) -> Deadline:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            if self._error is None:
                raise
            raise self._error from None

    def allow(self, seconds: float, error: ApiError) -> None:
        """From now on there are so many seconds; after them this error ends the block.

        Too late for a block that is ending: it may still pass on what had come before.
        """
        if self._over:
            return
        self._deadline, self._error = self._loop.time() + seconds, error
        if self._timer is None or self._due > self._deadline:
            self._wind()

    def end(self, error: ApiError) -> None:
        """End the block at its next await, whatever it is allowed until then."""
        if not self._over:
            self._error = error
            self._expire()

    def _wind(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Noted, because not every timer of uvloop's can be asked for it.
        self._due = self._deadline
        self._timer = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        if self._loop.time() + TICK_SECONDS <= self._deadline:
            self._wind()
        else:
            self._expire()

    def _expire(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._timeout.reschedule(self._loop.time())
