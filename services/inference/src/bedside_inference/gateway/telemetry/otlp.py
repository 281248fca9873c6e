"""Spans as OTLP writes them; the only module that imports opentelemetry.

The SDK is not used: its variables `OTEL_*` can send spans elsewhere, add headers to them and load
code, and its exporter follows the proxies of the environment. The messages alone do none of that.

Format: OpenTelemetry Protocol 1.x, opentelemetry-proto, `collector/trace/v1`.

Tested in tests/inference/gateway/telemetry/test_tracing.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from bedside_inference.gateway.telemetry.spans import Span, Value

SCOPE = "bedside_inference.gateway"


def export_request(spans: Sequence[Span], resource: Mapping[str, Value]) -> bytes:
    """An `ExportTraceServiceRequest` with all these spans."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(_attributes(resource))
    scope = group.scope_spans.add()
    scope.scope.name = SCOPE
    scope.spans.extend(_message(span) for span in spans)
    encoded: bytes = request.SerializeToString()
    return encoded


def rejected(response: bytes) -> int:
    """How many spans a collector says that it did not keep; none if it says nothing readable."""
    try:
        said = ExportTraceServiceResponse.FromString(response)
    except DecodeError:
        return 0
    return int(said.partial_success.rejected_spans)


def _message(span: Span) -> trace_pb2.Span:
    message = trace_pb2.Span(
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Value(f"SPAN_KIND_{span.kind}"),
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_id,
        start_time_unix_nano=round(span.start * 1e9),
        end_time_unix_nano=round(span.end * 1e9),
        attributes=_attributes(span.attributes),
    )
    if span.failed:
        message.status.code = trace_pb2.Status.STATUS_CODE_ERROR
    return message


def _attributes(values: Mapping[str, Value]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in values.items()]


def _value(value: Value) -> AnyValue:
    match value:
        case int():
            return AnyValue(int_value=value)
        case str():
            return AnyValue(string_value=value)
    return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))
