"""Spans as OTLP writes them in JSON, with no library of OpenTelemetry.

The SDK's variables `OTEL_*` can send spans elsewhere, add headers to them and load code, and its
exporter follows the proxies of the environment. A few members of JSON do none of that.

Format: OpenTelemetry Protocol 1.x, "JSON Protobuf Encoding": names in lowerCamelCase, ids in hex,
64-bit integers as text, enumerations as numbers.

Tested in tests/inference/gateway/telemetry/test_tracing.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from bedside_inference.gateway.telemetry.spans import Span, Value

SCOPE = "bedside_inference.gateway"
KINDS = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3}
STATUS_CODE_ERROR = 2


def export_request(spans: Sequence[Span], resource: Mapping[str, Value]) -> bytes:
    """An `ExportTraceServiceRequest` with all these spans."""
    scope = {"scope": {"name": SCOPE}, "spans": [_message(span) for span in spans]}
    group = {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}
    return to_json({"resourceSpans": [group]})


def rejected(response: bytes) -> int:
    """How many spans a collector says that it did not keep; none if it says nothing readable."""
    try:
        return int(from_json(response)["partialSuccess"]["rejectedSpans"])
    except (ValueError, OverflowError, LookupError, TypeError):
        return 0


def _message(span: Span) -> dict[str, Any]:
    message = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": KINDS[span.kind],
        "startTimeUnixNano": str(round(span.start * 1e9)),
        "endTimeUnixNano": str(round(span.end * 1e9)),
        "attributes": _attributes(span.attributes),
    }
    if span.parent_id:
        message["parentSpanId"] = span.parent_id
    if span.failed:
        message["status"] = {"code": STATUS_CODE_ERROR}
    return message


def _attributes(values: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Value) -> dict[str, Any]:
    match value:
        case int():
            return {"intValue": str(value)}
        case str():
            return {"stringValue": value}
    return {"arrayValue": {"values": [_value(item) for item in value]}}
