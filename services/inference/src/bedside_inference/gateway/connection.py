"""What a response may do with the connection that its client waits on, beyond ASGI.

Tested in tests/inference/gateway/test_cancellation.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from starlette.types import Scope

CONNECTION = "bedside.connection"
"""The ASGI extension that holds it; made by our HTTP protocol, see `protocol.py`."""


class Connection(Protocol):
    """One client's connection."""

    def watch(self, on_lost: Callable[[], None] | None, /) -> bool:
        """Have this called when it is lost, or nothing any more; whether it is still there."""

    def pass_on(self, data: bytes, /) -> bool:
        """Write a piece of a chunked body that has begun; whether the client keeps up."""

    def abort(self) -> None:
        """Cut it now, with whatever was not taken."""


def connection_of(scope: Scope) -> Connection:
    """The connection that a request came on."""
    found: Connection = scope["extensions"][CONNECTION]
    return found
