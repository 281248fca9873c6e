"""Takes over into the metrics what is not counted per request: states, levels and failures."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from bedside_inference.audit.journal import AuditLog
from bedside_inference.background import Recurring
from bedside_inference.gateway.access.oidc import TokenVerifier
from bedside_inference.gateway.engines.admission import Admission
from bedside_inference.gateway.engines.fleet import Fleet
from bedside_inference.gateway.engines.monitor import Condition
from bedside_inference.gateway.seats import Seats
from bedside_inference.gateway.telemetry.metrics import Metrics
from bedside_inference.gateway.telemetry.tracing import Tracing
from bedside_inference.state.errors import StateUnavailable
from bedside_inference.state.uses import KeyUses
from bedside_inference.state.watch import Watch

SAMPLE_SECONDS = 1.0
"""How old a worker's gauges may be when another worker is asked for them."""


class Sampling:
    """Looks at the parts of a gateway that know something worth a metric."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        admission: Admission,
        fleet: Fleet,
        audit: AuditLog,
        watch: Watch,
        uses: KeyUses,
        verifier: TokenVerifier | None,
        tracing: Tracing,
        seats: Seats,
        streams: Callable[[], int],
    ) -> None:
        """`streams`: how many event streams are being answered."""
        self.metrics = metrics
        self.admission, self.fleet, self.audit = admission, fleet, audit
        self.watch, self.uses, self.verifier, self.tracing = watch, uses, verifier, tracing
        self.seats, self.streams = seats, streams
        self._closed: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._dropped = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the gauges fresh for other workers, one of which may be asked for them."""
        self()
        task = asyncio.create_task(self._keep_sampling())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _keep_sampling(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            self()

    def __call__(self) -> None:
        """Bring the metrics up to now."""
        metrics, admission = self.metrics, self.admission
        metrics.in_flight.set(metrics.serving)
        metrics.streams.set(self.streams())
        metrics.running.set(admission.running)
        metrics.running_tokens.set(admission.running_tokens)
        for priority, waiting in admission.queued.items():
            metrics.waiting.labels(priority).set(waiting)
        metrics.audit_writable.set(int(self.audit.writable))
        metrics.audit_free.set(self.audit.free_bytes)
        metrics.state_age.set(self.watch.age)
        with suppress(StateUnavailable):  # then the number stays as it was
            now = datetime.now(UTC)
            keys = self.watch.state.keys.values()
            metrics.keys_expiring.set(sum(key.expiring(now) for key in keys))
        for engine in self.fleet.engines:
            for condition in Condition:
                seen = metrics.engine_condition.labels(engine.client.address, condition)
                seen.set(int(engine.condition is condition))
        if self.verifier is not None:
            for reason, count in self.verifier.refused.items():
                metrics.refused.labels(reason).inc(count - self._refused[reason])
                self._refused[reason] = count
        metrics.connections.set(len(self.seats))
        for reason, count in (("evicted", self.seats.evicted), ("full", self.seats.refused)):
            metrics.connections_closed.labels(reason).inc(count - self._closed[reason])
            self._closed[reason] = count
        metrics.spans_dropped.inc(self.tracing.dropped - self._dropped)
        self._dropped = self.tracing.dropped
        for task, failures in self._background().items():
            metrics.background_failures.labels(task).inc(failures - self._failures[task])
            self._failures[task] = failures

    def _background(self) -> dict[str, int]:
        work: dict[str, list[Recurring]] = {
            "audit": [self.audit.keeping],
            "state": [self.watch.looking, self.uses.writing],
            "engines": [engine.probing for engine in self.fleet.engines],
            "traces": [self.tracing.sending],
        }
        return {task: sum(each.failures for each in loops) for task, loops in work.items()}
