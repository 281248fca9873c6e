"""Prometheus metrics of a gateway; labels are routes, statuses and classes, never people."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from bedside_inference.gateway.exchange import Exchange

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Where several workers leave their numbers (prometheus_client's own variable)."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """What one gateway process counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "bedside_gateway_requests",
            "Requests answered.",
            ("route", "status"),
            registry=self.registry,
        )
        self.outcomes = Counter(
            "bedside_gateway_outcomes", "How requests ended.", ("outcome",), registry=self.registry
        )
        self.duration = Histogram(
            "bedside_gateway_request_duration_seconds",
            "From request to the end of its answer.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.first_byte = Histogram(
            "bedside_gateway_time_to_first_byte_seconds",
            "From request to the first byte of its answer's body.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.queued = Histogram(
            "bedside_gateway_queue_seconds",
            "Waiting for a place at the engine.",
            ("priority",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.tokens = Counter(
            "bedside_gateway_tokens",
            "Tokens of prompts and answers.",
            ("kind",),
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "bedside_gateway_requests_in_flight",
            "Requests being served.",
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self.audit_writable = Gauge(
            "bedside_gateway_audit_writable",
            "1 while requests can be recorded; nothing is served otherwise.",
            multiprocess_mode="livemin",
            registry=self.registry,
        )
        self.engine_ready = Gauge(
            "bedside_gateway_engine_ready",
            "1 while an engine gets work done.",
            ("engine",),
            multiprocess_mode="livemin",
            registry=self.registry,
        )

    def record(self, exchange: Exchange, seconds: float) -> None:
        """Count one finished exchange."""
        self.requests.labels(exchange.route, str(exchange.status)).inc()
        self.outcomes.labels(exchange.outcome).inc()
        self.duration.labels(exchange.route).observe(seconds)
        if exchange.first_byte is not None:
            self.first_byte.labels(exchange.route).observe(exchange.first_byte)
        if exchange.queued is not None and exchange.principal is not None:
            self.queued.labels(exchange.principal.priority).observe(exchange.queued)
        self.tokens.labels("prompt").inc(exchange.usage.prompt_tokens or 0)
        self.tokens.labels("completion").inc(exchange.usage.completion_tokens or 0)

    def page(self) -> bytes:
        """The numbers of all workers, in Prometheus' text format."""
        if not os.environ.get(SHARED):
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
