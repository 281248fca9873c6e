"""What is told of an exchange after its end, in metrics and log."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time

import pytest

from bedside_core import log
from bedside_inference.gateway import envelope as module


def told(caplog) -> list[logging.LogRecord]:
    return [entry for entry in caplog.records if entry.getMessage() == "request"]


@pytest.fixture
def later(monkeypatch, caplog) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "REPORT_SECONDS", 3600)


async def test_the_log_follows_by_itself(engine, gateway, monkeypatch, caplog) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "REPORT_SECONDS", 0.05)
    for _ in range(2):  # the second one waits for a timer of its own
        caplog.clear()
        async with gateway.chat() as answer:
            name = answer.headers["X-Request-Id"]
        async with asyncio.timeout(30):
            while not told(caplog):
                await asyncio.sleep(0.01)
        [entry] = told(caplog)
        assert entry.bedside["request"] == name


async def test_a_line_has_the_time_of_its_request(later, engine, gateway, caplog) -> None:
    """Not the one at which it was written."""
    async with gateway.chat():
        pass
    ended = time.time()
    await asyncio.sleep(0.3)
    async with gateway.session.get(f"{gateway.url}/metrics"):
        pass
    [entry] = told(caplog)
    assert abs(entry.created - ended) < 0.2
    line = json.loads(log.EventFormatter(as_json=True).format(entry))
    assert re.fullmatch("[0-9a-f]{32}", line["request"])


async def test_who_asks_for_metrics_waits_for_nothing(later, engine, gateway) -> None:
    for number in range(1, 4):
        async with gateway.chat():
            pass
        async with gateway.session.get(f"{gateway.url}/metrics") as answer:
            page = await answer.text()
        series = 'bedside_gateway_requests_total{route="/v1/chat/completions",status="200"}'
        assert f"{series} {number}.0\n" in page


async def test_the_end_loses_nothing(later, engine, config, open_gateway, caplog) -> None:
    async with open_gateway(config) as door:
        async with door.chat(), door.chat():
            pass
        assert not told(caplog)
    assert len(told(caplog)) == 2
