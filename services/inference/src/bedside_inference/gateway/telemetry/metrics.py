"""Prometheus metrics of a gateway; labels are routes, statuses, classes and codes, never people.

Every label's values are a closed set or come from the config, so a client cannot make series.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics import exposition as openmetrics

from bedside_inference.gateway.exchange import Exchange

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Where several workers leave their numbers (prometheus_client's own variable)."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
Several = Literal["livesum", "livemin", "livemax"]
OPENMETRICS = "application/openmetrics-text"


def several_workers() -> bool:
    """Whether one worker's page must show what the others count, too."""
    return bool(os.environ.get(SHARED))


class _AllWorkers(MultiProcessCollector):
    """A worker that begins makes its file empty, and one that dies then leaves it so."""

    def collect(self) -> Any:
        files = []
        for file in Path(self._path).glob("*.db"):
            with suppress(FileNotFoundError):
                if file.stat().st_size:
                    files.append(str(file))
        return self.merge(files, accumulate=True)  # type: ignore[no-untyped-call]


class Metrics:
    """What one gateway process counts."""

    def __init__(self, *, exemplars: bool = False) -> None:
        """`exemplars`: histograms name the trace of a recent request, in OpenMetrics only."""
        self.exemplars = exemplars
        self.serving = 0
        """Exchanges that have begun and not ended."""
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests answered.", "route", "status")
        self.outcomes = self._counter("outcomes", "How requests ended.", "outcome")
        self.duration = self._histogram(
            "request_duration_seconds", "From request to the end of its answer.", "route"
        )
        self.first_byte = self._histogram(
            "time_to_first_byte_seconds",
            "From request to the first byte of its answer's body.",
            "route",
        )
        self.queued = self._histogram(
            "queue_seconds", "Waiting for a place at the engine.", "priority"
        )
        self.tokens = self._counter("tokens", "Tokens of prompts and answers.", "kind")
        self.refused = self._counter(
            "credentials_refused", "Tokens of the identity provider that were refused.", "reason"
        )
        self.spans_dropped = self._counter("spans_dropped", "Spans that reached no collector.")
        self.background_failures = self._counter(
            "background_failures", "Failures of work beside the requests.", "task"
        )
        self.connections = self._gauge("connections", "Connections of clients.", "livesum")
        self.connections_closed = self._counter(
            "connections_closed",
            "Connections that rested when another needed room, and requests that found none.",
            "reason",
        )
        self.in_flight = self._gauge("requests_in_flight", "Requests being served.", "livesum")
        self.streams = self._gauge("streams", "Event streams being answered.", "livesum")
        self.running = self._gauge("running", "Requests at the engines.", "livesum")
        self.running_tokens = self._gauge(
            "running_tokens", "Prompt and answer tokens of those, estimated.", "livesum"
        )
        self.waiting = self._gauge(
            "queued", "Requests that wait for a place at the engines.", "livesum", "priority"
        )
        self.audit_writable = self._gauge(
            "audit_writable",
            "1 while requests can be recorded; nothing is served otherwise.",
            "livemin",
        )
        self.audit_free = self._gauge(
            "audit_free_bytes", "Free disk where the audit is kept.", "livemin"
        )
        self.state_age = self._gauge(
            "state_age_seconds", "Since keys and switches were last looked at.", "livemax"
        )
        self.keys_expiring = self._gauge(
            "keys_expiring", "Valid keys that end within 14 days and have no successor.", "livemax"
        )
        self.engine_condition = self._gauge(
            "engine_condition",
            "Workers that see an engine in this condition.",
            "livesum",
            *("engine", "condition"),
        )

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"bedside_gateway_{name}", says, labels, registry=self.registry)

    def _histogram(self, name: str, says: str, *labels: str) -> Histogram:
        full = f"bedside_gateway_{name}"
        return Histogram(full, says, labels, buckets=SECONDS, registry=self.registry)

    def _gauge(self, name: str, says: str, several: Several, *labels: str) -> Gauge:
        """`several`: how the numbers of several workers become one."""
        full = f"bedside_gateway_{name}"
        return Gauge(full, says, labels, multiprocess_mode=several, registry=self.registry)

    def record(self, exchange: Exchange, seconds: float) -> None:
        """Count one finished exchange."""
        trace_id = exchange.record.trace_id
        exemplar = {"trace_id": trace_id} if self.exemplars and trace_id else None
        self.requests.labels(exchange.route, str(exchange.status)).inc()
        self.outcomes.labels(exchange.outcome).inc()
        self.duration.labels(exchange.route).observe(seconds, exemplar)
        if exchange.first_byte is not None:
            self.first_byte.labels(exchange.route).observe(exchange.first_byte, exemplar)
        if exchange.queued is not None and exchange.principal is not None:
            self.queued.labels(exchange.principal.priority).observe(exchange.queued, exemplar)
        self.tokens.labels("prompt").inc(exchange.usage.prompt_tokens or 0)
        self.tokens.labels("completion").inc(exchange.usage.completion_tokens or 0)

    def page(self, accept: str) -> tuple[bytes, str]:
        """The numbers of all workers, and their content type.

        Args:
            accept: the header of who asks; OpenMetrics is for exemplars, which Prometheus' older
                text format cannot hold.
        """
        if several_workers():
            together = CollectorRegistry()
            _AllWorkers(together)  # type: ignore[no-untyped-call]
            return generate_latest(together), CONTENT_TYPE_LATEST
        if self.exemplars and OPENMETRICS in accept:
            page: bytes = openmetrics.generate_latest(self.registry)  # type: ignore[no-untyped-call]
            return page, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
