"""One deadline at a time for a request, moved along as it gets on."""

from __future__ import annotations

import asyncio
from types import TracebackType

from bedside_inference.gateway.errors import ApiError


class Clock:
    """An asynchronous context that ends with an `ApiError` when the present deadline passes."""

    def __init__(self) -> None:
        self.error: ApiError | None = None
        self._timeout = asyncio.timeout(None)
        self._now = asyncio.get_running_loop().time

    async def __aenter__(self) -> Clock:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            if self.error is None:
                raise
            raise self.error from None

    def allow(self, seconds: float, error: ApiError) -> None:
        """From now on there are so many seconds; after them this error ends the block."""
        self.error = error
        self._timeout.reschedule(self._now() + seconds)

    def rest(self) -> None:
        """No deadline until the next."""
        self._timeout.reschedule(None)

    def end(self, error: ApiError) -> None:
        """End the block at its next await."""
        self.allow(0, error)
