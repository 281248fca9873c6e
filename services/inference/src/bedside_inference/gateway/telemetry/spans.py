"""What a trace says of an exchange: one span for it, and one for each part whose times are known.

Names: OpenTelemetry semantic conventions, HTTP server spans and generative AI; W3C Trace Context.

Tested in tests/inference/gateway/telemetry/test_tracing.py.
"""

from __future__ import annotations

import re
import secrets
from typing import Literal, NamedTuple

from bedside_inference.gateway.exchange import Exchange

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
    trace_id: str
    """In hexadecimal digits, as all ids."""
    span_id: str
    parent_id: str
    """Empty for none."""
    start: float
    """Unix time in seconds, as `end`."""
    end: float
    failed: bool
    attributes: dict[str, Value]


def spans_of(exchange: Exchange, seconds: float) -> list[Span]:
    """The span of an exchange and those of its parts whose times are known.

    Args:
        exchange: ended, with a trace id.
        seconds: how long it took.
    """
    record, usage = exchange.record, exchange.usage
    trace_id, root = record.trace_id or "", secrets.token_hex(8)
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
            parent_id=exchange.parent_span or "",
            start=record.started,
            end=record.started + seconds,
            failed=failed,
            attributes={name: value for name, value in found.items() if value is not None},
        )
    ]

    def part(name: str, kind: Literal["CLIENT", "INTERNAL"], begin: float, end: float) -> None:
        offset = record.started - exchange.started
        span_id = secrets.token_hex(8)
        times = (begin + offset, end + offset)
        spans.append(Span(name, kind, trace_id, span_id, root, *times, failed, {}))

    if exchange.admitted is not None and exchange.queued is not None:
        part("queue", "INTERNAL", exchange.admitted - exchange.queued, exchange.admitted)
        if exchange.released is not None:
            part("engine", "CLIENT", exchange.admitted, exchange.released)
    return spans
