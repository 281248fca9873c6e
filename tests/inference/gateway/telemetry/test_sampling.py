"""Sampling: what the parts of a gateway count themselves reaches the metrics, each thing once."""

from __future__ import annotations

import pytest

from bedside_inference.audit.journal import AuditLog, audit_directory
from bedside_inference.config import OidcConfig, OidcRole, TracingConfig
from bedside_inference.gateway.access.oidc import TokenVerifier
from bedside_inference.gateway.engines.admission import Admission
from bedside_inference.gateway.engines.fleet import Fleet
from bedside_inference.gateway.seats import Seats
from bedside_inference.gateway.telemetry.metrics import Metrics
from bedside_inference.gateway.telemetry.sampling import Sampling
from bedside_inference.gateway.telemetry.tracing import Tracing
from bedside_inference.state.store import Store
from bedside_inference.state.uses import KeyUses
from bedside_inference.state.watch import Watch

ROLES = {"clinician": OidcRole()}


@pytest.fixture
async def parts(config, home):
    """What is looked at, as it is before anything has happened."""
    audit_at = audit_directory(config.audit, home)
    store = Store.of(config.state, home)
    return {
        "admission": Admission(config.admission),
        "fleet": Fleet(config, home),
        "audit": AuditLog(audit_at, config.audit),
        "watch": Watch(store, config.state),
        "uses": KeyUses(store),
        "verifier": TokenVerifier(OidcConfig(issuer="https://a", audience="b", roles=ROLES)),
        "tracing": Tracing(TracingConfig()),
        "seats": Seats(256, 64),
        "streams": lambda: 4,
    }


async def test_what_is_counted_elsewhere_is_taken_over_once(parts) -> None:
    metrics = Metrics()
    sample = Sampling(metrics, **parts)
    parts["verifier"].refused["expired"] = 2
    parts["tracing"]._sender.dropped = 3
    parts["audit"].keeping.failures = 5
    parts["seats"].refused = 7
    for _ in range(3):
        sample()
    parts["verifier"].refused["expired"] += 1
    parts["verifier"].refused["signature"] = 1
    parts["watch"].looking.failures = 1
    parts["uses"].writing.failures = 2
    sample()
    page = metrics.page("")[0].decode()
    assert 'bedside_gateway_credentials_refused_total{reason="expired"} 3.0' in page
    assert 'bedside_gateway_credentials_refused_total{reason="signature"} 1.0' in page
    assert "bedside_gateway_spans_dropped_total 3.0" in page
    assert "bedside_gateway_audit_writable 1.0" in page
    assert "bedside_gateway_streams 4.0" in page
    assert 'bedside_gateway_connections_closed_total{reason="full"} 7.0' in page
    assert 'bedside_gateway_background_failures_total{task="audit"} 5.0' in page
    assert 'bedside_gateway_background_failures_total{task="state"} 3.0' in page
    assert 'bedside_gateway_background_failures_total{task="engines"} 0.0' in page
