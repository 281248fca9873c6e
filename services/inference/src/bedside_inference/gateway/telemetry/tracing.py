"""OpenTelemetry traces of exchanges, sent to a collector of the house if the config names one.

Covered: one span per request with its waiting and its time at the engine, as a part of the caller's
trace if it sent one. A collector that is away, slow or hostile costs the spans that it does not
take, which are counted, and no request anything. Variables `OTEL_*`, proxies of the environment and
redirects mean nothing here.
Not covered: a batch that was not taken is not sent again. The caller's flag `sampled` is not asked,
the house decides.

Names: OpenTelemetry semantic conventions, HTTP server spans and generative AI; W3C Trace Context.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import ssl
import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

import aiohttp

from bedside_core import log
from bedside_core.errors import ConfigError
from bedside_inference.config import TracingConfig

if TYPE_CHECKING:
    from bedside_inference.gateway.exchange import Exchange

logger = logging.getLogger(__name__)

MAX_QUEUED = 4096
"""Spans that wait to be sent; a few MiB."""
MAX_BATCH = 512
BATCH_SECONDS = 1.0
"""How long a span waits for others."""
SEND_SECONDS = 2.0
"""For one batch, from connecting to the end of the collector's answer."""
END_SECONDS = 2.0
"""What the end of the gateway waits for spans to be taken."""
MAX_ANSWER_BYTES = 64 << 10

OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
}
"""`gen_ai.operation.name` of the routes that have one."""
REASON = re.compile(r"[a-z_]{1,32}")
"""A finish reason, and nothing that an engine could say instead."""

Value = str | int | tuple[str, ...]


class Span(NamedTuple):
    """A piece of work that has ended."""

    name: str
    kind: Literal["SERVER", "CLIENT", "INTERNAL"]
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    """Empty for none."""
    start: float
    """Unix time in seconds, as `end`."""
    end: float
    failed: bool
    attributes: dict[str, Value]


class Tracing:
    """Makes spans of exchanges; does nothing without a config."""

    def __init__(self, config: TracingConfig | None) -> None:
        """Find the certificate authority; nothing is sent yet.

        Raises:
            ConfigError: its file cannot be read.
        """
        self._config = config
        self._sender = Sender(config) if config else None

    @property
    def dropped(self) -> int:
        """Spans that reached no collector."""
        return self._sender.dropped if self._sender else 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send spans while the gateway runs, and for a moment longer."""
        if self._sender is None:
            yield
        else:
            async with self._sender.running():
                yield

    def record(self, exchange: Exchange, seconds: float) -> None:
        """Make the spans of an exchange that has just ended.

        Without the caller's trace id its record gets the one of the span.

        Args:
            exchange: with its final status and outcome.
            seconds: how long it took.
        """
        if self._sender is None or self._config is None:
            return
        record = exchange.record
        trace_id = record.trace_id or secrets.token_hex(16)
        # As the SDK's TraceIdRatioBased decides, so that services with one ratio agree.
        if int(trace_id[16:], 16) >= self._config.sample_ratio * (1 << 64):
            return
        record.trace_id = trace_id
        self._sender.put(spans_of(exchange, seconds))


class Sender:
    """A bounded queue of spans and what empties it."""

    def __init__(self, config: TracingConfig) -> None:
        # Whoever traces nothing does not pay for it.
        from bedside_inference.gateway.telemetry import otlp

        self._otlp = otlp
        self.dropped = 0
        self._url = f"{config.endpoint.rstrip('/')}/v1/traces"
        self._resource: dict[str, Value] = {
            "service.name": "bedside-gateway",
            "service.instance.id": str(uuid.uuid4()),
        }
        self._queue: deque[Span] = deque()
        self._wake = asyncio.Event()
        self._ended = self._away = False
        try:
            self._tls = ssl.create_default_context(cafile=config.ca_file)
        except OSError:
            raise ConfigError(
                f"inference.tracing.ca_file: {config.ca_file}: no readable certificate - give the "
                "PEM file of the certificate authority that vouches for the collector"
            ) from None

    def put(self, spans: list[Span]) -> None:
        """Queue the spans of one exchange, all or none."""
        if len(self._queue) + len(spans) > MAX_QUEUED:
            self.dropped += len(spans)
            return
        self._queue.extend(spans)
        if len(self._queue) >= MAX_BATCH:
            self._wake.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send while the block lasts, then what is left for at most `END_SECONDS`."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=1),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=SEND_SECONDS),
            auto_decompress=False,
            trust_env=False,
        ) as session:
            task = asyncio.create_task(self._run(session))
            try:
                yield
            finally:
                self._ended = True
                self._wake.set()
                await asyncio.wait({task}, timeout=END_SECONDS)
                task.cancel()
                await asyncio.wait({task})
                self.dropped += len(self._queue)
                self._queue.clear()

    async def _run(self, session: aiohttp.ClientSession) -> None:
        ended = False
        while not ended:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), BATCH_SECONDS)
            self._wake.clear()
            ended = self._ended
            while self._queue:
                count = min(MAX_BATCH, len(self._queue))
                await self._send(session, [self._queue.popleft() for _ in range(count)])

    async def _send(self, session: aiohttp.ClientSession, spans: list[Span]) -> None:
        taken = 0
        try:
            body = await asyncio.to_thread(self._otlp.export_request, spans, self._resource)
            async with session.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/x-protobuf"},
                allow_redirects=False,
            ) as answer:
                if answer.status == 200:
                    said = await answer.content.read(MAX_ANSWER_BYTES)
                    taken = len(spans) - min(len(spans), max(0, self._otlp.rejected(said)))
                self._note(None if answer.status == 200 else answer.status)
        except Exception as error:  # noqa: BLE001 - nothing that a collector does ends the sending
            self._note(type(error).__name__)
        finally:
            self.dropped += len(spans) - taken

    def _note(self, cause: str | int | None) -> None:
        if cause is not None and not self._away:
            logger.warning("traces are dropped", extra=log.fields(cause=cause))
        elif cause is None and self._away:
            logger.info("traces are taken again")
        self._away = cause is not None


def spans_of(exchange: Exchange, seconds: float) -> list[Span]:
    """The span of an exchange and those of its parts whose times are known.

    Args:
        exchange: ended, with a trace id.
        seconds: how long it took.
    """
    record, usage = exchange.record, exchange.usage
    trace_id, root = bytes.fromhex(record.trace_id or ""), secrets.token_bytes(8)
    failed = exchange.status >= 500
    known = record.route != "unknown"
    method = "_OTHER" if record.method == "other" else record.method
    reason = record.finish_reason
    if reason is not None and not REASON.fullmatch(reason):
        reason = "other"
    found: dict[str, Value | None] = {
        "http.request.method": method,
        "http.route": record.route if known else None,
        "http.response.status_code": exchange.status,
        "error.type": record.outcome if failed else None,
        "gen_ai.operation.name": OPERATIONS.get(record.route),
        "gen_ai.request.model": record.model,
        "gen_ai.response.finish_reasons": reason and (reason,),
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "bedside.model_digest": record.model_digest,
        "bedside.verdict": record.verdict,
        "bedside.outcome": record.outcome,
        "bedside.request_id": record.request_id,
    }
    verb = "HTTP" if method == "_OTHER" else method
    spans = [
        Span(
            name=f"{verb} {record.route}" if known else verb,
            kind="SERVER",
            trace_id=trace_id,
            span_id=root,
            parent_id=bytes.fromhex(exchange.parent_span or ""),
            start=record.started,
            end=record.started + seconds,
            failed=failed,
            attributes={name: value for name, value in found.items() if value is not None},
        )
    ]

    def part(name: str, kind: Literal["CLIENT", "INTERNAL"], begin: float, end: float) -> None:
        offset = record.started - exchange.started
        span_id = secrets.token_bytes(8)
        times = (begin + offset, end + offset)
        spans.append(Span(name, kind, trace_id, span_id, root, *times, failed, {}))

    if exchange.admitted is not None and exchange.queued is not None:
        part("queue", "INTERNAL", exchange.admitted - exchange.queued, exchange.admitted)
        if exchange.released is not None:
            part("engine", "CLIENT", exchange.admitted, exchange.released)
    return spans
