"""OpenTelemetry traces of exchanges, sent to a collector of the house if the config names one.

Covered: one span per request with its waiting and its time at the engine, as a part of the caller's
trace if it sent one. A collector that is away, slow or hostile costs the spans that it does not
take, which are counted, and no request anything. Variables `OTEL_*`, proxies of the environment and
redirects mean nothing here.
Not covered: a batch that was not taken is not sent again. The caller's flag `sampled` is not asked,
the house decides.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp

from bedside_core import log
from bedside_core.errors import ConfigError
from bedside_inference.audit.record import RequestRecord
from bedside_inference.background import Recurring
from bedside_inference.config import TracingConfig
from bedside_inference.gateway.telemetry import otlp
from bedside_inference.gateway.telemetry.spans import Span, Value

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


class Tracing:
    """Decides which exchanges are traced, and sends their spans; does nothing without a config."""

    def __init__(self, config: TracingConfig | None) -> None:
        """Find the certificate authority; nothing is sent yet.

        Raises:
            ConfigError: its file cannot be read.
        """
        self._config = config
        self.sending = Recurring(logger, "sending traces failed", "traces are sent again")
        self._sender = Sender(config, self.sending) if config else None

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

    def samples(self, record: RequestRecord) -> bool:
        """Whether spans are to be made of a request that has just ended.

        If so and it came without a trace id, its record gets the one that the spans will have.
        """
        if self._config is None:
            return False
        trace_id = record.trace_id or secrets.token_hex(16)
        # As the SDK's TraceIdRatioBased decides, so that services with one ratio agree.
        if int(trace_id[16:], 16) >= self._config.sample_ratio * (1 << 64):
            return False
        record.trace_id = trace_id
        return True

    def put(self, spans: list[Span]) -> None:
        """Queue the spans of one exchange."""
        if self._sender is not None:
            self._sender.put(spans)


class Sender:
    """A bounded queue of spans and what empties it."""

    def __init__(self, config: TracingConfig, sending: Recurring) -> None:
        self._sending = sending
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
                batch = [self._queue.popleft() for _ in range(count)]
                with self._sending.attempt():
                    await self._send(session, batch)

    async def _send(self, session: aiohttp.ClientSession, spans: list[Span]) -> None:
        taken = 0
        try:
            body = await asyncio.to_thread(otlp.export_request, spans, self._resource)
            async with session.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
            ) as answer:
                if answer.status == 200:
                    said = await answer.content.read(MAX_ANSWER_BYTES)
                    taken = len(spans) - min(len(spans), max(0, otlp.rejected(said)))
                self._note(None if answer.status == 200 else answer.status)
        except (aiohttp.ClientError, OSError) as error:
            self._note(type(error).__name__)
        finally:
            self.dropped += len(spans) - taken

    def _note(self, cause: str | int | None) -> None:
        if cause is not None and not self._away:
            logger.warning("traces are dropped", extra=log.fields(cause=cause))
        elif cause is None and self._away:
            logger.info("traces are taken again")
        self._away = cause is not None
