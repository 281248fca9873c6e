"""The planned end of a gateway process: what runs finishes, and whoever else comes is told so.

Tested in tests/inference/gateway/test_server.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

STATE = "drain"
"""Its name in the state that an application gives to its server (ASGI's lifespan)."""
ANSWERED = frozenset({"/livez", "/readyz"})
"""Routes that go on: one says that the process lives, the other that it ends."""


class Drain:
    """Shared by the server, which begins it, and the envelope around each request."""

    def __init__(self) -> None:
        self.begun = False
        self.running = 0
        """Requests that were let in and are not over."""

    def refuses(self, route: str) -> bool:
        """Whether a request that comes now is not let in."""
        return self.begun and route not in ANSWERED

    @contextmanager
    def request(self) -> Iterator[None]:
        """While a request that was let in runs."""
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
