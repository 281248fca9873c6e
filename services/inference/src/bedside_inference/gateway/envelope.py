"""Around every exchange: its id, the answer's headers, its metrics, its record and its log line."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import secrets
import time
from collections.abc import Callable
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bedside_core import log
from bedside_inference.audit.entries import AuditError
from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.record import RequestRecord
from bedside_inference.gateway.drain import Drain
from bedside_inference.gateway.errors import ApiError, audit_unavailable, gateway_draining
from bedside_inference.gateway.exchange import Exchange, refused
from bedside_inference.gateway.telemetry.metrics import Metrics
from bedside_inference.gateway.telemetry.spans import spans_of
from bedside_inference.gateway.telemetry.tracing import Tracing

logger = logging.getLogger(__name__)

TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")
"""W3C Trace Context, level 1, section 3.2; ids of zeros alone are none."""

CLIENT_APPS = (
    *("OpenAI/Python", "OpenAI/JS", "AsyncOpenAI/Python", "python-httpx", "python-requests"),
    *("aiohttp", "curl", "Mozilla", "Open-WebUI", "node", "Go-http-client", "bedside"),
)
"""Beginnings of User-Agent that a record names; any other could be a text."""


REPORT_SECONDS = 1.0
"""How late an exchange is counted and logged; `/metrics` is up to date whenever it is asked. A
process that is killed takes so much of its log along; the audit has the record."""


class Reporter:
    """Counts and logs exchanges that have ended, those of a second together.

    A process that wakes up for one request finds nothing of its code in the processor's caches;
    what need not be done at once is cheaper by a multiple when it is done for several.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._waiting: list[tuple[Exchange, float, int]] = []

    def add(self, exchange: Exchange, seconds: float, level: int) -> None:
        """Take one that took so many seconds; `level`: of its log line."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(REPORT_SECONDS, self.report)
        self._waiting.append((exchange, seconds, level))

    def report(self) -> None:
        """Bring metrics and log up to now."""
        waiting, self._waiting = self._waiting, []
        for exchange, seconds, level in waiting:
            self.metrics.record(exchange, seconds)
            if logger.isEnabledFor(level):
                _log(exchange, seconds, level)


def _log(exchange: Exchange, seconds: float, level: int) -> None:
    record = exchange.record
    facts = log.fields(
        request=record.request_id,
        route=record.route,
        status=record.status,
        outcome=record.outcome,
        seconds=round(seconds, 4),
        first_byte_seconds=exchange.first_byte and round(exchange.first_byte, 4),
    )
    line = logger.makeRecord(logger.name, level, __file__, 0, "request", (), None, extra=facts)
    line.created = record.ended or line.created
    logger.handle(line)


class Envelope:
    """The outermost ASGI layer (pure, so that disconnects reach what is inside)."""

    def __init__(
        self,
        app: ASGIApp,
        route_of: Callable[[Scope], str],
        unaudited: frozenset[str],
        reporter: Reporter,
        tracing: Tracing,
        audit: AuditLog,
        drain: Drain,
    ) -> None:
        """Wrap an application.

        Args:
            app: what answers.
            route_of: the route's template; `unknown` for any path that is not offered.
            unaudited: routes whose use tells nothing about anybody.
            reporter: counts and logs every exchange.
            tracing: makes spans of every other exchange.
            audit: records the same.
            drain: refuses them once the process is about to end.
        """
        self.app, self.route_of, self.unaudited = app, route_of, unaudited
        self.reporter, self.tracing, self.audit = reporter, tracing, audit
        self.drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = scope["bedside"] = _open(scope, self.route_of(scope))
        record = exchange.record
        audited = record.route not in self.unaudited

        async def marked_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_marks(exchange)]
            elif exchange.first_byte is None and message.get("body"):
                exchange.first_byte = time.monotonic() - exchange.started
            await send(message)

        self.reporter.metrics.serving += 1
        try:
            if (refusal := self._refusal(record.route, audited=audited)) is not None:
                refused(exchange, refusal)
                await refusal.response()(scope, receive, marked_send)
            else:
                with self.drain.request():
                    await self.app(scope, receive, marked_send)
        finally:
            self.reporter.metrics.serving -= 1
            client = scope.get("client")
            self._close(exchange, client[0] if client else "", audited=audited)

    def _refusal(self, route: str, *, audited: bool) -> ApiError | None:
        """Why nothing is done for a request now, whoever it is from."""
        if self.drain.refuses(route):
            return gateway_draining()
        return audit_unavailable() if audited and not self.audit.writable else None

    def _close(self, exchange: Exchange, address: str, *, audited: bool) -> None:
        seconds = time.monotonic() - exchange.started
        record, usage = exchange.record, exchange.usage
        record.ended, record.duration_ms = time.time(), seconds * 1000
        record.queued_ms = _milliseconds(exchange.queued)
        record.first_byte_ms = _milliseconds(exchange.first_byte)
        record.prompt_tokens = usage.prompt_tokens
        record.completion_tokens = usage.completion_tokens
        record.finish_reason = usage.finish_reason
        if exchange.left:
            record.disconnect_phase = exchange.phase
            record.outcome = "client_left"
        record.status = exchange.status
        if served := exchange.served or exchange.chosen:
            record.model_digest, record.evidence = served.model, served.evidence
            record.verdict = served.verdict
        # What is only counted leaves no other trace either: a flood would fill those, too.
        recorded = audited and (exchange.principal is not None or self.audit.takes(record, address))
        if recorded and self.tracing.samples(record):
            self.tracing.put(spans_of(exchange, seconds))
        self.reporter.add(exchange, seconds, logging.INFO if recorded else logging.DEBUG)
        if recorded:
            try:
                self.audit.finish(record)
            except AuditError:
                # It is kept, or counted if it never began; until it is written nothing begins.
                logger.error("audit cannot be written", extra=log.fields(request=record.request_id))  # noqa: TRY400


def _open(scope: Scope, route: str) -> Exchange:
    headers = dict(scope["headers"])
    trace = TRACEPARENT.fullmatch(headers.get(b"traceparent", b""))
    client = scope.get("client")
    return Exchange(
        RequestRecord(
            request_id=secrets.token_hex(16),
            trace_id=trace[1].decode() if trace else None,
            started=time.time(),
            client_address=_address(client[0]) if client else "unknown",
            client_app=_app(headers.get(b"user-agent", b"")),
            method=scope["method"] if scope["method"] in ("GET", "POST") else "other",
            route=route,
            outcome="answered",
        ),
        parent_span=trace[2].decode() if trace else None,
    )


_ip = lru_cache(maxsize=1024)(ipaddress.ip_address)


def _address(text: str) -> str:
    try:
        # A scope (RFC 4007) may be any text.
        return str(_ip(text.partition("%")[0]))
    except ValueError:
        return "unknown"  # what a proxy passed on need not be an address


def _app(agent: bytes) -> str:
    text = agent[:64].decode("latin-1")
    return next((app for app in CLIENT_APPS if text.startswith(app)), "other")


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _marks(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    marks = [(b"x-request-id", exchange.record.request_id.encode())]
    marks += [(name.encode(), value.encode()) for name, value in exchange.headers.items()]
    if exchange.served is not None:
        marks.append((b"x-bedside-model", exchange.served.model.encode()))
        marks.append((b"x-bedside-verdict", exchange.served.verdict.encode()))
        if exchange.served.scope == "demo":
            marks.append((b"x-bedside-scope", b"demo"))
        if exchange.record.status == 200 and exchange.record.method == "POST":
            marks.append((b"x-ai-generated", b"true"))
    return marks
