"""Metrics: what they say, and that no client can make series or put anything into them."""

from __future__ import annotations

import asyncio
import random
import re

import pytest
from aiohttp import web
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from bedside_inference.config import TracingConfig
from bedside_inference.gateway.api.routes import ONE_MODEL, ROUTES
from bedside_inference.gateway.telemetry.metrics import SHARED, Metrics

CHAT = "/v1/chat/completions"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"

CLOSED = {
    "route": re.compile("|".join(map(re.escape, [*ROUTES, ONE_MODEL, "unknown"]))),
    "status": re.compile(r"[2-5][0-9]{2}"),
    "outcome": re.compile(r"answered|client_left|[a-z]+(_[a-z]+){0,4}"),
    "kind": re.compile("prompt|completion"),
    "task": re.compile("audit|state|engines|traces"),
    "reason": re.compile("evicted|full"),
    "priority": re.compile("emergency|ward|batch"),
    "engine": re.compile(r"/tmp/bedside-[a-z0-9_]+/run/engine\.sock"),
    "condition": re.compile("loading|ready|stalled|draining|withdrawn|foreign"),
    "le": re.compile(r"[0-9.]+|\+Inf"),
}
"""All labels, and what their values may be."""


def test_a_worker_that_has_only_begun_is_no_error(tmp_path, monkeypatch) -> None:
    """Its file is made empty and gets its size afterwards; the worker may die in between."""
    monkeypatch.setenv(SHARED, str(tmp_path))
    (tmp_path / "counter_424242.db").touch()
    page, _ = Metrics().page("text/plain")
    assert page == b""


async def page_of(door, accept: str = "text/plain") -> str:
    async with door.session.get(f"{door.url}/metrics", headers={"Accept": accept}) as answer:
        assert answer.status == 200
        return await answer.text()


async def value_of(door, series: str) -> float:
    page = await page_of(door)
    found = re.search(rf"^{re.escape(series)} (\S+)$", page, re.MULTILINE)
    assert found is not None, page
    return float(found[1])


def series_of(page: str) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return {
        (sample.name, frozenset(sample.labels.items()))
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


async def test_no_client_makes_series(engine, gateway, make_key) -> None:
    made = make_key(department="erika")
    gateway.key = made.secret
    async with asyncio.timeout(30):
        while True:  # until the gateway knows the key
            async with gateway.chat() as answer:
                if answer.status == 200:
                    break

    async def junk(seed: int) -> None:
        word = f"erika{random.Random(seed).getrandbits(64):x}"
        headers = {
            "User-Agent": word,
            "X-Purpose-Of-Use": word,
            "X-Request-Id": word,
            "traceparent": f"00-{seed:032x}-{seed + 1:016x}-01",
            "X-Forwarded-For": word,
            "Accept": word,
        }
        body = f'{{"model": "{word}", "messages": [], "{word}": 1}}'.encode()
        key = {"Authorization": f"Bearer {word}"}
        for method, path, sent, data in (
            ("GET", f"/{word}", headers, None),
            ("GET", f"/v1/models/{word}", headers, None),
            ("GET", f"/v1/models/{word}", gateway.authorization, None),
            ("GET", f"/metrics?{word}", headers, None),
            ("PROPFIND", f"/v1/{word}", headers, None),
            ("DELETE", CHAT, {**headers, **gateway.authorization}, None),
            ("POST", CHAT, {**headers, **key}, body),
            ("POST", CHAT, {**headers, **gateway.authorization}, body),
            ("POST", CHAT, {**gateway.authorization, "Content-Type": word}, body),
            ("POST", f"{CHAT}/{word}", {**headers, **gateway.authorization}, body),
            ("POST", "/v1/embeddings", gateway.authorization, word.encode()),
        ):
            url = f"{gateway.url}{path}"
            async with gateway.session.request(method, url, headers=sent, data=data) as answer:
                await answer.read()
        async with gateway.chat(user=word, messages=[{"role": "user", "content": word}]) as answer:
            await answer.read()

    await junk(1)
    before = series_of(await page_of(gateway))
    for seed in range(2, 30):
        await junk(seed)
    page = await page_of(gateway)
    assert series_of(page) == before
    assert "erika" not in page
    assert made.id not in page
    for name, labels in before:
        for label, value in labels:
            assert CLOSED[label].fullmatch(value), (name, label, value)


async def test_an_engine_decides_on_no_label(engine, gateway) -> None:
    """What it says of itself and of an answer is not in any."""

    async def talkative(request: web.Request) -> web.StreamResponse:
        choice = {"index": 0, "finish_reason": "erika", "message": {"content": "erika"}}
        return web.json_response({"choices": [choice], "usage": {"erika": 1}, "model": "erika"})

    engine.script = talkative
    async with gateway.chat() as answer:
        assert answer.status == 200
    assert "erika" not in await page_of(gateway)


async def test_what_runs_is_shown_while_it_runs(engine, gateway) -> None:
    go_on = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("Guten"))
        await go_on.wait()
        await response.write(b"data: [DONE]\n\n")
        return response

    engine.script = slow
    async with gateway.chat(stream=True, max_tokens=100) as first, gateway.chat(stream=True):
        await first.content.readany()
        assert await value_of(gateway, "bedside_gateway_streams") == 2
        assert await value_of(gateway, "bedside_gateway_running") == 2
        assert await value_of(gateway, "bedside_gateway_running_tokens") > 600
        assert await value_of(gateway, "bedside_gateway_requests_in_flight") == 3
        go_on.set()
        await first.read()
    await engine.freed()
    async with asyncio.timeout(30):
        while await value_of(gateway, "bedside_gateway_running"):
            await asyncio.sleep(0.01)
    assert await value_of(gateway, "bedside_gateway_streams") == 0
    assert await value_of(gateway, "bedside_gateway_running_tokens") == 0


async def test_who_waits_is_shown_by_class(config, engine, open_gateway) -> None:
    one = config.admission.model_copy(update={"max_running": 1, "emergency_reserve": 0})
    go_on = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return web.json_response({})

    engine.script = slow
    async with open_gateway(config.model_copy(update={"admission": one})) as door:

        async def ask() -> None:
            async with door.chat():
                pass

        asked = [asyncio.create_task(ask()) for _ in range(3)]
        async with asyncio.timeout(30):
            while await value_of(door, 'bedside_gateway_queued{priority="ward"}') != 2:
                await asyncio.sleep(0.01)
        assert await value_of(door, 'bedside_gateway_queued{priority="emergency"}') == 0
        go_on.set()
        await asyncio.gather(*asked)
        assert await value_of(door, 'bedside_gateway_queued{priority="ward"}') == 0


async def test_how_engine_audit_and_state_are(engine, gateway, home) -> None:
    def condition(name: str) -> str:
        at = home / "run" / "engine.sock"
        return f'bedside_gateway_engine_condition{{condition="{name}",engine="{at}"}}'

    assert await value_of(gateway, condition("ready")) == 1
    assert await value_of(gateway, condition("loading")) == 0
    assert await value_of(gateway, "bedside_gateway_audit_writable") == 1
    assert 0 <= await value_of(gateway, "bedside_gateway_state_age_seconds") < 60
    engine.healthy = False
    async with asyncio.timeout(30):
        while await value_of(gateway, condition("loading")) != 1:
            await asyncio.sleep(0.02)
    assert await value_of(gateway, condition("ready")) == 0


@pytest.mark.parametrize("own", [True, False])
async def test_exemplars_name_traces(config, engine, open_gateway, own) -> None:
    changes = {"gateway": config.gateway.model_copy(update={"exemplars": True})}
    if own:
        changes["tracing"] = TracingConfig(endpoint="http://127.0.0.1:9")
    async with open_gateway(config.model_copy(update=changes)) as door:
        headers = {} if own else {"traceparent": f"00-{TRACE}-{'1' * 16}-01"}
        body = b'{"model": "test", "messages": [{"role": "user", "content": "Hallo"}]}'
        async with door.post(body, headers=headers) as answer:
            assert answer.status == 200
        page = await page_of(door, OPENMETRICS)
        exemplars = [
            sample.exemplar.labels
            for family in openmetrics_families(page)
            for sample in family.samples
            if sample.exemplar
        ]
        assert len(exemplars) == 3  # duration, first byte and queue
        traces = {labels.pop("trace_id") for labels in exemplars}
        assert not any(exemplars)
        [trace] = traces
        assert re.fullmatch("[0-9a-f]{32}", trace) if own else trace == TRACE
        plain = await page_of(door)
        assert trace not in plain
        series_of(plain)


async def test_no_exemplars_by_default(engine, gateway) -> None:
    headers = {"traceparent": f"00-{TRACE}-{'1' * 16}-01"}
    body = b'{"model": "test", "messages": [{"role": "user", "content": "Hallo"}]}'
    async with gateway.post(body, headers=headers) as answer:
        assert answer.status == 200
    for accept in (OPENMETRICS, "*/*", "text/plain"):
        page = await page_of(gateway, accept)
        assert TRACE not in page
        series_of(page)
