"""The running gateway is as its OpenAPI document says, whatever Schemathesis makes of that.

Valid requests are answered in the documented form, with the documented headers; what is wrong in
any way is refused with an error object; neither other methods nor missing keys get through. The
engine answers what vLLM's own classes have written (api/record.py).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import schemathesis
from aiohttp import web
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from schemathesis.engine import StopReason, events, from_schema
from schemathesis.generation.case import Case
from schemathesis.schemas import BaseSchema

from bedside_inference.config import AdmissionConfig
from bedside_inference.gateway.api.fields import MAX_ANSWERS, REQUESTS
from bedside_inference.gateway.api.openapi import ERRORS, EXAMPLE_MODEL
from bedside_inference.gateway.app import document

RECORDED = json.loads((Path(__file__).parent / "engine_answers.json").read_text())
PHASES = ("examples", "coverage", "fuzzing", "stateful")
RATE = 1_000_000_000
TOKENS = 1 << 50


async def answer(request: web.Request) -> web.StreamResponse:
    """What vLLM would."""
    kind = "events" if (await request.json()).get("stream") else "answer"
    found = next(r for r in RECORDED if r["path"] == request.path and kind in r)
    if kind == "answer":
        return web.json_response(found["answer"])
    return web.Response(text=found["events"], content_type="text/event-stream")


@dataclass
class Target:
    """A running gateway and its document, which tests may change."""

    url: str
    key: str = field(repr=False)
    scarce_key: str = field(repr=False)
    """For one request a minute."""
    described: dict[str, Any] = field(repr=False)

    def load(self, *phases: str, examples: int = 20, failing: bool = False) -> BaseSchema:
        """For Schemathesis, with nothing left to chance and nothing written to the disk.

        `failing`: it is right that valid requests fail.
        """
        checks = ("not_a_server_error", "positive_data_acceptance", "ignored_auth")
        config = {
            "base-url": self.url,
            "headers": {"Authorization": f"Bearer {self.key}"},
            "seed": 1,
            "generation": {"deterministic": True, "database": "none", "max-examples": examples},
            "phases": {phase: {"enabled": phase in phases} for phase in PHASES},
            "checks": {check: {"enabled": not failing} for check in checks},
            "cache": {"enabled": False},
            "continue-on-failure": True,
            "request-timeout": 10,
        }
        return schemathesis.openapi.from_dict(
            self.described, config=SchemathesisConfig.from_dict(config)
        )


@pytest.fixture
async def target(engine, config, open_gateway, make_key) -> AsyncIterator[Target]:
    engine.script = answer
    described = deepcopy(document())
    for request in REQUESTS.values():
        properties = described["components"]["schemas"][request.__name__]["properties"]
        properties["model"] = {"const": EXAMPLE_MODEL}
    changed = {
        "model_name": EXAMPLE_MODEL,
        "gateway": config.gateway.model_copy(update={"max_body_bytes": 1 << 20}),
        # What a house can take is no part of the document.
        "admission": AdmissionConfig(max_running_tokens=TOKENS, max_queued_tokens=TOKENS),
    }
    keys = [make_key(requests_per_minute=rate).secret for rate in (RATE, 1)]
    async with open_gateway(config.model_copy(update=changed)) as door:
        yield Target(door.url, *keys, described)


@dataclass
class Findings:
    """What came of a run."""

    failures: set[tuple[str, str, str]] = field(default_factory=set)
    """Operation, check and message."""
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    """Of each operation."""
    streams: int = 0

    def take(self, scenario: events.ScenarioFinished) -> None:
        recorder = scenario.recorder
        for case_id, interaction in recorder.interactions.items():
            response = interaction.response
            assert response is not None, "the gateway did not answer"
            operation = recorder.cases[case_id].value.operation.label
            self.statuses.setdefault(operation, Counter())[response.status_code] += 1
            self.streams += "text/event-stream" in response.headers.get("content-type", [""])[0]
            if response.status_code >= 400 and operation != "GET /readyz":
                assert response.json()["error"]["code"] in ERRORS[response.status_code]
        for case_id, checks in recorder.checks.items():
            case = recorder.cases[case_id].value
            for check in checks:
                if check.failure_info is None:
                    continue
                interaction = recorder.interactions.get(case_id)
                if interaction and interaction.response and unsaid(case, interaction.response):
                    continue
                failure = check.failure_info.failure
                self.failures.add((case.operation.label, check.name, failure.message))


def unsaid(case: Case, response: Response) -> bool:
    """Whether a rule that its schema does not say refuses a valid request.

    A whole number with a point is an integer to JSON Schema, and none to the gateway.
    """
    if response.status_code != 400 or not isinstance(case.body, dict) or case.meta is None:
        return False
    if case.meta.generation.mode.is_negative:
        return False
    name = response.json()["error"]["param"]
    value = case.body.get(name)
    if isinstance(value, float) and value.is_integer():
        return True
    match name, case.body:
        case "stream_options", {"stream": True}:
            return False
        case "stream_options", _:
            return True
        case "n", {"prompt": [*prompts]}:
            return (value or 1) * len(prompts) > MAX_ANSWERS
    return False


def run(schema: BaseSchema) -> Findings:
    found = Findings()
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished():
                found.take(event)
            case events.NonFatalError():
                raise event.value
            case events.FatalError():
                raise event.exception
            case events.EngineFinished():
                assert event.stop_reason is StopReason.COMPLETED
    return found


async def test_examples_and_every_boundary(target) -> None:
    found = await asyncio.to_thread(run, target.load("examples", "coverage"))
    assert found.failures == set()
    assert found.streams >= 3  # one of each route that has them
    assert len(found.statuses) == len(target.described["paths"])
    for operation, statuses in found.statuses.items():
        assert statuses[200], operation
        assert statuses[405] > 5, operation
        if "/v1/" in operation:
            assert statuses[400], operation
            assert statuses[401], operation
        assert set(statuses) <= {200, 400, 401, 404, 405, 415}


async def test_what_is_made_up(target) -> None:
    found = await asyncio.to_thread(run, target.load("fuzzing", examples=25))
    assert found.failures == set()
    for path in REQUESTS:
        statuses = found.statuses[f"POST {path}"]
        assert statuses[200]
        assert statuses[400]


async def test_one_after_another(target) -> None:
    found = await asyncio.to_thread(run, target.load("stateful"))
    assert found.failures == set()
    assert found.statuses["GET /v1/models/{name}"][200]


@pytest.mark.parametrize(
    ("status", "said"),
    [(400, 400), (404, 404), (413, 413), (415, 415), (422, 422), (429, 503), (500, 502)],
)
async def test_the_engines_errors(engine, target, status, said) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "m"}}, status=status)

    engine.script = refuse
    found = await asyncio.to_thread(run, target.load("examples", failing=True))
    assert found.failures == set()
    assert all(found.statuses[f"POST {path}"] == {said: 1} for path in REQUESTS)


async def test_without_an_engine(engine, target) -> None:
    engine.healthy = False
    async with aiohttp.ClientSession(target.url) as session, asyncio.timeout(30):
        while True:
            async with session.get("/readyz") as got:
                if got.status == 503:
                    break
    schema = target.load("examples", "coverage", failing=True).exclude(method="POST")
    found = await asyncio.to_thread(run, schema)
    assert found.failures == set()
    for path in ("/readyz", "/v1/models", "/v1/models/{name}"):
        assert found.statuses[f"GET {path}"][503]


async def test_a_used_up_rate(target) -> None:
    target.key = target.scarce_key
    found = await asyncio.to_thread(run, target.load("examples", failing=True))
    assert found.failures == set()
    assert sum((found.statuses[f"POST {path}"] for path in REQUESTS), Counter()) == {200: 1, 429: 3}


@pytest.mark.parametrize(
    ("part", "check"),
    [
        ({"headers": {"X-Request-Id": {"schema": {"pattern": "^-$"}}}}, "headers"),
        ({"headers": {"X-Missing": {"required": True, "schema": {}}}}, "headers"),
        ({"content": {"text/plain": {}}}, "content_type"),
        ({"content": {"application/json": {"schema": {"required": ["nothing"]}}}}, "schema"),
    ],
)
async def test_a_wrong_document_is_seen(target, part, check) -> None:
    target.described["paths"]["/v1/embeddings"]["post"]["responses"]["200"] |= part
    schema = target.load("examples").include(path="/v1/embeddings")
    [(_, found, _)] = (await asyncio.to_thread(run, schema)).failures
    assert found.startswith((check, f"response_{check}"))
