"""Traces: what they say and what not, where they go and where never, and what a collector costs."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from pydantic import ValidationError

from bedside_core.errors import ConfigError
from bedside_inference.audit.record import RequestRecord
from bedside_inference.config import GatewayConfig, TracingConfig
from bedside_inference.gateway.exchange import Exchange
from bedside_inference.gateway.telemetry import tracing
from bedside_inference.gateway.telemetry.spans import spans_of
from bedside_inference.gateway.telemetry.tracing import MAX_QUEUED, Tracing

CHAT = "/v1/chat/completions"
WIDE = {
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
}
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def parsed(body: bytes) -> ExportTraceServiceRequest:
    """What protobuf's own reader of JSON, which knows no other names, makes of a body.

    Before that the rules of OTLP's JSON are checked: names in lowerCamelCase, ids in hex (a plain
    reader takes them for base64), wide integers as text, enumerations as numbers.
    """
    document = json.loads(body)
    obey(document, ExportTraceServiceRequest.DESCRIPTOR)
    return json_format.ParseDict(document, ExportTraceServiceRequest())


def obey(document: dict[str, object], message: Descriptor) -> None:
    for name, value in document.items():
        field = next(field for field in message.fields if field.json_name == name)
        values = value if field.is_repeated else [value]
        assert isinstance(values, list), name
        for each in values:
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                assert isinstance(each, dict), name
                obey(each, field.message_type)
            elif field.type == FieldDescriptor.TYPE_BYTES:
                assert re.fullmatch("[0-9a-f]{32}" if name == "traceId" else "[0-9a-f]{16}", each)
                document[name] = base64.b64encode(bytes.fromhex(each)).decode()
            elif field.type in WIDE:
                assert isinstance(each, str) and re.fullmatch("-?[0-9]+", each), name
            elif field.type == FieldDescriptor.TYPE_ENUM:
                assert type(each) is int and each in field.enum_type.values_by_number, name
            else:
                assert isinstance(each, str), name


@dataclass
class Collector:
    """What an OTLP collector was sent, and how it answers."""

    port: int = 0
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for body in self.bodies
            for group in parsed(body).resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.headers.append({"path": request.path, **request.headers})
        self.bodies.append(await request.read())
        return await self.answer(request) if self.answer else web.Response()

    async def received(self, count: int) -> list[Span]:
        async with asyncio.timeout(30):
            while len(self.spans) < count:
                await asyncio.sleep(0.01)
        return self.spans


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    found = Collector()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", found.take)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.port = runner.addresses[0][1]
    try:
        yield found
    finally:
        await runner.cleanup()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as found:
        yield found


@pytest.fixture
async def decoy() -> AsyncIterator[Collector]:
    """Where nothing may arrive."""
    async with collecting() as found:
        yield found
        assert not found.headers


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "BATCH_SECONDS", 0.02)
    # A slow machine loses no spans.
    monkeypatch.setattr(tracing, "SEND_SECONDS", 60)
    monkeypatch.setattr(tracing, "END_SECONDS", 60)


@pytest.fixture
def traced(config, collector):
    """The gateway's configuration with traces."""
    return config.model_copy(update={"tracing": TracingConfig(endpoint=collector.url)})


def exchange(**members) -> Exchange:
    """A chat that was answered."""
    record = RequestRecord(
        **{
            "request_id": "1",
            "started": 1_700_000_000.0,
            "client_address": "10.9.8.7",
            "client_app": "curl",
            "method": "POST",
            "route": CHAT,
            "status": 200,
            "outcome": "answered",
            "pseudonym": "1.abc",
            **members,
        }
    )
    return Exchange(record)


def trace(tracing: Tracing, ended: Exchange, seconds: float) -> None:
    """As the gateway does at the end of a request."""
    if tracing.samples(ended.record):
        tracing.put(spans_of(ended, seconds))


def attributes(span: Span) -> dict[str, object]:
    found: dict[str, object] = {}
    for item in span.attributes:
        kind = item.value.WhichOneof("value")
        value = getattr(item.value, kind)
        found[item.key] = (
            [each.string_value for each in value.values] if kind == "array_value" else value
        )
    return found


def requests_of(home) -> list[dict[str, object]]:
    lines = [
        json.loads(line)
        for file in sorted((home / "gateway" / "audit").glob("*.jsonl"))
        for line in file.read_bytes().splitlines()
    ]
    return [line for line in lines if line["type"] == "request"]


# What a span says


async def test_a_chat_within_the_trace_of_its_caller(
    traced, collector, open_gateway, engine, home
) -> None:
    began = time.time_ns()
    async with open_gateway(traced) as door:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "User-Agent": "Erika Mustermann"}
        body = {"model": "test", "messages": [{"role": "user", "content": "Hallo"}]}
        async with door.post(json.dumps(body).encode(), headers=headers) as answer:
            assert answer.status == 200
            request_id = answer.headers["X-Request-Id"]
        root, queue, engine_span = await collector.received(3)
    assert {span.trace_id.hex() for span in (root, queue, engine_span)} == {TRACE}
    assert (root.name, root.kind) == (f"POST {CHAT}", Span.SPAN_KIND_SERVER)
    assert root.parent_span_id.hex() == PARENT
    assert root.status.code == Status.STATUS_CODE_UNSET
    assert attributes(root) == {
        "http.request.method": "POST",
        "http.route": CHAT,
        "http.response.status_code": 200,
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "test",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 2,
        "bedside.model_digest": "ab" * 32,
        "bedside.verdict": "UNPROVEN",
        "bedside.outcome": "answered",
        "bedside.request_id": request_id,
    }
    assert (queue.name, queue.kind) == ("queue", Span.SPAN_KIND_INTERNAL)
    assert (engine_span.name, engine_span.kind) == ("engine", Span.SPAN_KIND_CLIENT)
    assert {queue.parent_span_id, engine_span.parent_span_id} == {root.span_id}
    assert len({root.span_id, queue.span_id, engine_span.span_id}) == 3
    assert began <= root.start_time_unix_nano <= queue.start_time_unix_nano
    assert queue.end_time_unix_nano == engine_span.start_time_unix_nano
    assert engine_span.start_time_unix_nano < engine_span.end_time_unix_nano
    assert engine_span.end_time_unix_nano <= root.end_time_unix_nano <= time.time_ns()
    assert collector.headers[0]["path"] == "/v1/traces"
    assert collector.headers[0]["Content-Type"] == "application/json"
    sent = b"".join(collector.bodies)
    [recorded] = requests_of(home)
    assert recorded["trace_id"] == TRACE
    for secret in ("Hallo", "Guten", "127.0.0.1", "Erika"):
        assert secret.encode() not in sent
    for sealed in ("pseudonym", "client_address"):
        assert str(recorded[sealed]).encode() not in sent


async def test_a_trace_of_our_own_is_named_in_the_record(
    traced, collector, open_gateway, engine, home
) -> None:
    async with open_gateway(traced) as door:
        async with door.chat():
            pass
        async with door.session.get(f"{door.url}/livez"):
            pass  # monitoring leaves no trace
        spans = await collector.received(3)
    assert len(collector.spans) == 3
    assert not spans[0].parent_span_id
    [recorded] = requests_of(home)
    assert recorded["trace_id"] == spans[0].trace_id.hex()


@pytest.mark.parametrize(
    "header",
    [
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-x",
        f"00-{TRACE}-{PARENT}",
        "Erika",
    ],
)
async def test_a_bad_traceparent_is_none(traced, collector, open_gateway, header) -> None:
    async with open_gateway(traced) as door:
        async with door.post(b"{}", headers={"traceparent": header}):
            pass
        [span] = await collector.received(1)
    assert not span.parent_span_id
    assert span.trace_id.hex() not in (TRACE, "0" * 32)
    assert len(span.trace_id) == 16


async def test_what_fails_and_what_is_not_offered(traced, collector, open_gateway) -> None:
    async with open_gateway(traced) as door:
        async with door.chat() as answer:
            assert answer.status == 503
        async with door.session.request("DELETE", f"{door.url}/Erika?Mustermann") as answer:
            assert answer.status == 404
        failed, unknown = await collector.received(2)
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert attributes(failed)["error.type"] == "model_loading"
    assert unknown.name == "HTTP"
    said = attributes(unknown)
    assert said["http.request.method"] == "_OTHER"
    assert "http.route" not in said
    assert unknown.status.code == Status.STATUS_CODE_UNSET
    assert b"Erika" not in b"".join(collector.bodies)


async def test_a_reason_that_is_a_text_is_none(collector) -> None:
    tested = Tracing(TracingConfig(endpoint=collector.url))
    async with tested.running():
        trace(tested, exchange(finish_reason="der Patient"), 1.5)
    [span] = collector.spans
    assert attributes(span)["gen_ai.response.finish_reasons"] == ["other"]
    assert span.start_time_unix_nano == 1_700_000_000 * 10**9
    assert span.end_time_unix_nano == 1_700_000_001_500_000_000
    for absent in (b"10.9.8.7", b"pseudonym", b"key-id", b"Patient", b"curl"):
        assert absent not in collector.bodies[0]


async def test_the_share_is_chosen_by_trace(collector) -> None:
    tested = Tracing(TracingConfig(endpoint=collector.url, sample_ratio=0.25))
    without = [exchange() for _ in range(400)]
    async with tested.running():
        for low, kept in (("0" * 16, True), ("3f" + "f" * 14, True), ("4" + "0" * 15, False)):
            one = exchange(trace_id="a" * 16 + low)
            trace(tested, one, 1)
            assert one.record.trace_id == "a" * 16 + low
            assert (len(tested._sender._queue) > 0) == kept
            tested._sender._queue.clear()
        for one in without:
            trace(tested, one, 1)
    named = [one.record.trace_id for one in without if one.record.trace_id]
    assert 40 < len(named) < 160
    assert [span.trace_id.hex() for span in collector.spans] == named


# Where they go


@pytest.mark.parametrize("url", ["http://8.8.8.8:4318", "http://otel.example.com", ""])
def test_places_outside_are_refused(url) -> None:
    with pytest.raises(ValidationError, match="traces stay in the house"):
        TracingConfig(endpoint=url)


def test_other_settings_are_checked(tmp_path) -> None:
    for wrong in ({"sample_ratio": 0}, {"sample_ratio": 1.1}, {"sample_ratio": float("nan")}):
        with pytest.raises(ValidationError):
            TracingConfig(**wrong)
    with pytest.raises(ValidationError, match="exemplars"):
        GatewayConfig(exemplars=True, workers=2)
    (tmp_path / "ca.pem").write_text("nothing")
    for path in (tmp_path / "ca.pem", tmp_path / "absent.pem"):
        with pytest.raises(ConfigError, match=r"inference\.tracing\.ca_file"):
            Tracing(TracingConfig(ca_file=path))


async def test_no_variable_of_the_environment_redirects(
    traced, collector, decoy, open_gateway, monkeypatch, tmp_path
) -> None:
    elsewhere = {
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": decoy.url,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{decoy.url}/v1/traces",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-leak=1",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "absent"),
        "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": "absent",
        "OTEL_RESOURCE_ATTRIBUTES": "enduser.id=erika",
        "OTEL_SERVICE_NAME": "erika",
        "OTEL_SDK_DISABLED": "true",
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_BSP_MAX_QUEUE_SIZE": "1",
        **{name: decoy.url for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")},
    }
    for name, value in elsewhere.items():
        monkeypatch.setenv(name, value)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with open_gateway(traced) as door:
        async with door.chat() as answer:
            assert answer.status == 503
        await collector.received(1)
    assert "x-leak" not in collector.headers[0]
    assert "Content-Encoding" not in collector.headers[0]
    assert b"erika" not in collector.bodies[0]


EXCHANGE = """
import asyncio, sys
from pathlib import Path
from starlette.testclient import TestClient
from bedside_inference.config import InferenceConfig
from bedside_inference.gateway.app import build
from bedside_inference.gateway.seats import Seats
with TestClient(build(InferenceConfig(), Path(sys.argv[1]), b"", Seats(256, 64))) as client:
    assert client.get("/v1/models").status_code == 401
    assert client.post("/v1/chat/completions", content=b"Erika").status_code == 401
unwanted = ("opentelemetry.proto", "opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf")
assert not [name for name in sys.modules if name.startswith(unwanted)]
"""
"""A gateway without traces; when it ends, exporters would empty their queues."""


async def test_off_means_that_nothing_is_loaded_or_sent(home, decoy) -> None:
    variables = {
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",  # FastAPI's own, 0.165
        "OTEL_EXPORTER_OTLP_ENDPOINT": decoy.url,
        "OTEL_TRACES_EXPORTER": "otlp",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-c", EXCHANGE, str(home)),
        env=variables,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


def test_no_library_of_opentelemetry_is_used() -> None:
    """The SDK reads `OTEL_*`."""
    code = (
        "import sys, bedside_inference.gateway.telemetry.tracing; "
        "assert not [n for n in sys.modules if n.startswith(('opentelemetry', 'google'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# What a collector may do


async def never(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(600)
    return web.Response()


async def drip(request: web.Request) -> web.StreamResponse:
    """A byte now and then, for ever."""
    response = web.StreamResponse(status=200)
    await response.prepare(request)
    while True:
        await response.write(b"\xff")
        await asyncio.sleep(0.05)


async def flood(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=200, headers={"Content-Encoding": "gzip"})
    await response.prepare(request)
    for _ in range(200):
        await response.write(b"\x1f\x8b" + b"\x00" * 65536)
    return response


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def answering(status: int, body: bytes = b"", **headers: str):
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return answer


def rejecting(count: int) -> bytes:
    partial = ExportTracePartialSuccess(rejected_spans=count, error_message="Erika")
    return json_format.MessageToJson(ExportTraceServiceResponse(partial_success=partial)).encode()


@pytest.mark.parametrize(
    ("answer", "dropped"),
    [
        (answering(200), 0),
        (answering(200, b"\xff\xff<html>"), 0),
        (answering(200, rejecting(2)), 2),
        (answering(200, rejecting(10**9)), 5),
        (answering(200, rejecting(-7)), 0),
        (answering(200, b'{"partialSuccess": {"rejectedSpans": 2, "later": [1]}}'), 2),
        (answering(200, b'{"partialSuccess": {"errorMessage": "Erika"}}'), 0),
        (answering(200, b'{"partialSuccess": null}'), 0),
        (answering(200, b'{"partialSuccess": {"rejectedSpans": 1e999}}'), 0),
        (answering(200, b'{"partialSuccess": {"rejectedSpans": "%s"}}' % (b"9" * 5000)), 0),
        (answering(200, b"[" * 60_000), 0),
        (answering(204), 5),
        (answering(400, b"Erika"), 5),
        (answering(503, **{"Retry-After": "3600"}), 5),
        (answering(200, **{"Set-Cookie": "Erika=1; Domain=x"}), 0),
        (cut, 5),
        (drip, 0),
        (flood, 0),
    ],
)
async def test_whatever_it_answers(collector, caplog, answer, dropped) -> None:
    caplog.set_level("DEBUG")
    collector.answer = answer
    tested = Tracing(TracingConfig(endpoint=collector.url))
    async with tested.running():
        for _ in range(5):
            trace(tested, exchange(), 1)
    assert tested.dropped == dropped
    assert "Erika" not in caplog.text


async def test_redirects_are_not_followed(collector, decoy) -> None:
    for status in (301, 302, 303, 307, 308):
        collector.answer = answering(status, Location=f"{decoy.url}/v1/traces")
        tested = Tracing(TracingConfig(endpoint=collector.url))
        async with tested.running():
            trace(tested, exchange(), 1)
        assert tested.dropped == 1


async def test_one_that_never_answers_delays_neither_requests_nor_the_end(
    traced, collector, open_gateway, engine, monkeypatch
) -> None:
    collector.answer = never
    monkeypatch.setattr(tracing, "SEND_SECONDS", 600)
    monkeypatch.setattr(tracing, "END_SECONDS", 0.5)
    async with asyncio.timeout(30), open_gateway(traced) as door:
        for _ in range(3):
            async with door.chat() as answer:
                assert answer.status == 200
            await collector.received(1)  # and has no answer


async def test_one_that_is_away_is_told_once_and_its_return_too(
    unused_tcp_port_factory, caplog
) -> None:
    caplog.set_level("INFO", "bedside_inference")
    port = unused_tcp_port_factory()
    tested = Tracing(TracingConfig(endpoint=f"http://127.0.0.1:{port}"))
    async with tested.running():
        for number in range(1, 4):
            trace(tested, exchange(), 1)
            async with asyncio.timeout(30):
                while tested.dropped < number:
                    await asyncio.sleep(0.01)
        found = Collector()
        app = web.Application()
        app.router.add_post("/v1/traces", found.take)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        trace(tested, exchange(), 1)
        await found.received(1)
        async with asyncio.timeout(30):
            while "traces are taken again" not in caplog.messages:
                await asyncio.sleep(0.01)
        await runner.cleanup()
    assert tested.dropped == 3
    assert [record.message for record in caplog.records] == [
        "traces are dropped",
        "traces are taken again",
    ]


async def test_the_queue_is_bounded(collector, monkeypatch) -> None:
    collector.answer = never
    monkeypatch.setattr(tracing, "END_SECONDS", 0.1)
    tested = Tracing(TracingConfig(endpoint=collector.url))
    async with tested.running():
        trace(tested, exchange(), 1)
        await collector.received(1)
        for _ in range(MAX_QUEUED + 1000):
            trace(tested, exchange(), 1)
        assert len(tested._sender._queue) == MAX_QUEUED
        assert tested.dropped == 1000
    assert tested.dropped == MAX_QUEUED + 1001


async def test_all_of_many_arrive_once(collector) -> None:
    tested = Tracing(TracingConfig(endpoint=collector.url))
    async with tested.running():
        for _ in range(2000):
            trace(tested, exchange(), 1)
    assert tested.dropped == 0
    assert len({span.span_id for span in collector.spans}) == len(collector.spans) == 2000
    assert len(collector.bodies) == 4


async def test_dropped_spans_are_counted_in_the_metrics(
    config, open_gateway, unused_tcp_port_factory
) -> None:
    nowhere = TracingConfig(endpoint=f"http://127.0.0.1:{unused_tcp_port_factory()}")
    async with open_gateway(config.model_copy(update={"tracing": nowhere})) as door:
        async with door.chat():
            pass
        async with asyncio.timeout(30):
            while True:
                async with door.session.get(f"{door.url}/metrics") as answer:
                    text = await answer.text()
                if "bedside_gateway_spans_dropped_total 1.0" in text:
                    break
                await asyncio.sleep(0.02)
