"""Around every exchange: its id, the answer's headers, its metrics and its one line in the log."""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bedside_core import log
from bedside_inference.gateway.errors import CLIENT_CLOSED
from bedside_inference.served import ServedModel

logger = logging.getLogger(__name__)

PROBES = frozenset({"/livez", "/readyz", "/metrics"})
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


@dataclass(slots=True)
class Exchange:
    """What is known of one request and its answer; no content."""

    route: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: float = field(default_factory=time.monotonic)
    key: str | None = None
    """Id of the API key."""
    served: ServedModel | None = None
    """The model that answers, once it does."""
    status: int = CLIENT_CLOSED
    first_byte: float | None = None
    """Seconds until the first byte of the answer's body."""
    outcome: str = "answered"


def exchange_of(scope: Scope) -> Exchange:
    """The exchange that a request belongs to."""
    found = scope["bedside"]
    assert isinstance(found, Exchange)  # noqa: S101 - set for every request below
    return found


class Metrics:
    """Prometheus metrics of one gateway; labels are routes and statuses, never people."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("route", "status")
        self.requests = Counter(
            "bedside_gateway_requests", "Requests answered.", labels, registry=self.registry
        )
        self.duration = Histogram(
            "bedside_gateway_request_duration_seconds",
            "From request to the end of its answer.",
            ("route",),
            registry=self.registry,
            buckets=SECONDS,
        )
        self.first_byte = Histogram(
            "bedside_gateway_time_to_first_byte_seconds",
            "From request to the first byte of its answer's body.",
            ("route",),
            registry=self.registry,
            buckets=SECONDS,
        )
        self.in_flight = Gauge(
            "bedside_gateway_requests_in_flight", "Requests being served.", registry=self.registry
        )

    def record(self, exchange: Exchange, seconds: float) -> None:
        """Count one finished exchange."""
        self.requests.labels(exchange.route, str(exchange.status)).inc()
        self.duration.labels(exchange.route).observe(seconds)
        if exchange.first_byte is not None:
            self.first_byte.labels(exchange.route).observe(exchange.first_byte)


class Envelope:
    """The outermost ASGI layer (pure, so that disconnects reach what is inside)."""

    def __init__(self, app: ASGIApp, routes: frozenset[str], metrics: Metrics) -> None:
        self.app, self.routes, self.metrics = app, routes, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        exchange = Exchange(route=path if path in self.routes else "unknown")
        scope["bedside"] = exchange

        async def marked_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_marks(exchange)]
            elif exchange.first_byte is None and message.get("body"):
                exchange.first_byte = time.monotonic() - exchange.started
            await send(message)

        with self.metrics.in_flight.track_inprogress():
            try:
                await self.app(scope, receive, marked_send)
            finally:
                self._record(exchange)

    def _record(self, exchange: Exchange) -> None:
        seconds = time.monotonic() - exchange.started
        self.metrics.record(exchange, seconds)
        first = exchange.first_byte
        logger.log(
            logging.DEBUG if exchange.route in PROBES else logging.INFO,
            "request",
            extra=log.fields(
                request=exchange.id,
                route=exchange.route,
                status=exchange.status,
                outcome=exchange.outcome,
                key=exchange.key,
                seconds=round(seconds, 4),
                first_byte_seconds=None if first is None else round(first, 4),
            ),
        )


def _marks(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    marks = [(b"x-request-id", exchange.id.encode())]
    if exchange.served is not None:
        marks.append((b"x-bedside-model", exchange.served.model.encode()))
        marks.append((b"x-bedside-verdict", exchange.served.verdict.encode()))
    return marks
