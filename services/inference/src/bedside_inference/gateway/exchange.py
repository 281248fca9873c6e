"""What is known of one request while it passes through the gateway.

Tested in tests/inference/gateway/test_envelope.py.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from starlette.types import Scope

from bedside_inference.audit.record import DisconnectPhase, RequestRecord
from bedside_inference.gateway.api.events import Usage
from bedside_inference.gateway.errors import CLIENT_CLOSED, ApiError
from bedside_inference.principal import Principal
from bedside_inference.served import ServedModel


@dataclass(slots=True)
class Exchange:
    """What is known of one request and its answer; no content."""

    record: RequestRecord
    started: float = field(default_factory=time.monotonic)
    parent_span: str | None = None
    """Id of the caller's span, 16 hex digits."""
    principal: Principal | None = None
    chosen: ServedModel | None = None
    """The model that is to answer."""
    served: ServedModel | None = None
    """The model that answers, once it does."""
    first_byte: float | None = None
    """Seconds until the first byte of the answer's body."""
    queued: float | None = None
    """Seconds of waiting for a place at the engine."""
    admitted: float | None = None
    """When it got that place, monotonic seconds as `started`."""
    released: float | None = None
    """When it gave the place back."""
    usage: Usage = field(default_factory=Usage)
    phase: DisconnectPhase = "sending"
    """Where a client that leaves now is in its request."""
    left: bool = False
    """The client left before its answer was complete."""
    headers: dict[str, str] = field(default_factory=dict)
    """Further headers of the answer."""

    @property
    def route(self) -> str:
        return self.record.route

    @property
    def status(self) -> int:
        return self.record.status or CLIENT_CLOSED

    @property
    def outcome(self) -> str:
        return self.record.outcome


def exchange_of(scope: Scope) -> Exchange:
    """The exchange that a request belongs to."""
    found = scope["bedside"]
    assert isinstance(found, Exchange)  # noqa: S101 - set for every request below
    return found


def refused(exchange: Exchange, error: ApiError) -> None:
    """Note why a request got an error."""
    exchange.record.outcome = error.code
