"""An audit log in a directory of its own, and records to write into it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bedside_inference.audit.entries import segment_path, segments
from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.record import RequestRecord
from bedside_inference.config import AuditConfig

QUIET = AuditConfig(sync_seconds=3600, checkpoint_seconds=3600)
"""Nothing happens by itself: tests call `sync`."""


@pytest.fixture
def directory(tmp_path) -> Path:
    return tmp_path / "gateway" / "audit"


@pytest.fixture
def config() -> AuditConfig:
    return QUIET


@pytest.fixture
def record() -> Callable[..., RequestRecord]:
    def make(request_id: str = "r1", **changes: Any) -> RequestRecord:
        values: dict[str, Any] = {
            "request_id": request_id,
            "started": time.time(),
            "client_address": "192.0.2.7",
            "client_app": "openai-python",
            "method": "POST",
            "route": "/v1/chat/completions",
            "outcome": "answered",
        }
        return RequestRecord(**{**values, **changes})

    return make


@pytest.fixture
def audit(directory, config) -> Iterator[AuditLog]:
    with AuditLog(directory, config) as log:
        yield log


@pytest.fixture
def read(directory) -> Callable[[], list[dict[str, Any]]]:
    """Every entry that is on the disk."""

    def entries() -> list[dict[str, Any]]:
        found = [segment_path(directory, first).read_bytes() for first in segments(directory)]
        return [json.loads(line) for line in b"".join(found).splitlines()]

    return entries
