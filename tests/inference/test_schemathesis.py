"""The running gateway is as its OpenAPI document says, for whatever Schemathesis makes of that.

Valid requests are answered in the documented form; what is wrong in any way is refused with the
error object; other methods and missing keys do not pass.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import schemathesis
from aiohttp import web
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import StopReason, events, from_schema

from bedside_inference.config import AdmissionConfig
from bedside_inference.gateway.openapi import document

RECORDED = json.loads((Path(__file__).parent / "api" / "engine_answers.json").read_text())
"""What vLLM answers; written by its own classes."""

def prepared():
    return document()


async def test_x(engine, config, open_gateway, make_key):
    key = make_key(requests_per_minute=1_000_000_000).secret
    async def answer(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        kind = "events" if asked.get("stream") else "answer"
        found = next(r for r in RECORDED if r["path"] == request.path and kind in r)
        if kind == "answer":
            return web.json_response(found["answer"])
        response = await engine.open_stream(request)
        await response.write(found["events"].encode())
        return response
    engine.script = answer
    gw = config.gateway.model_copy(update={"max_body_bytes": 1 << 20})
    config = config.model_copy(update={"model_name": "bedside", "gateway": gw, "admission": AdmissionConfig(max_running_tokens=1 << 50, max_queued_tokens=1<<50)})
    doc = document()
    for n in ("ChatRequest", "CompletionRequest", "EmbeddingRequest", "ResponsesRequest"):
        doc["components"]["schemas"][n]["properties"]["model"] = {"const": "bedside"}
    async with open_gateway(config) as door:
        conf = SchemathesisConfig.from_dict({
            "base-url": door.url, "seed": int(__import__("os").environ.get("SEED","1")),
            "headers": {"Authorization": f"Bearer {key}"},
            "generation": {"max-examples": int(__import__("os").environ.get("EX","10")), "deterministic": True, "no-shrink": True},
            "request-timeout": 10,
        })
        schema = schemathesis.openapi.from_dict(doc, config=conf)
        schema.validate()
        def go():
            import time
            seen = {}
            n = {}
            phases=[]
            for e in from_schema(schema).execute():
                t = type(e).__name__
                n[t] = n.get(t, 0) + 1
                if isinstance(e, (events.PhaseStarted, events.PhaseFinished)):
                    phases.append((time.time(), t, e.phase.name, e.phase.skip_reason))
                if isinstance(e, events.NonFatalError):
                    print("NONFATAL", e.label, e.value)
                if isinstance(e, events.FatalError):
                    print("FATAL", e.exception)
                if isinstance(e, events.ScenarioFinished):
                    print(e.phase, e.recorder.label, e.status, len(e.recorder.cases), round(e.elapsed_time,2), e.skip_reason)
                    st = {}
                    for i in e.recorder.interactions.values():
                        s = i.response.status_code if i.response else None
                        st[s] = st.get(s,0)+1
                    print("   ", st)
                    for case_id, checks in e.recorder.checks.items():
                        for c in checks:
                            if c.failure_info:
                                f = c.failure_info.failure
                                k = (e.recorder.label, c.name, f.title, str(f.message)[:300])
                                if k not in seen:
                                    seen[k] = 1
                                    i = e.recorder.interactions.get(case_id)
                                    print("FAIL", k, "\n      REQ", i and (i.request.method, i.request.uri, str(i.request.body)[:100], i.request.body_size if hasattr(i.request,'body_size') else None), "\n      CASE", repr(e.recorder.cases[case_id].value.body)[:400], e.recorder.cases[case_id].value.headers, "\n     RESP", i and i.response and (i.response.status_code, i.response.content[:200]))
            print(n)
            for p in phases: print(p)
        await asyncio.to_thread(go)
