"""What the parts of a request cost a gateway that has just woken up, and in a loop.

    .venvs/dev/bin/python bench/gateway/cold.py

With few requests a gateway sleeps before each, and others use the processor meanwhile: it wakes up
with empty caches. Each part is run by itself, on one core, after a sleep and a thousand times in a
row. The parts share the interpreter, so together they cost less than their sum.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from peers import MODEL, PEER_CORE, UNREACHED, machine

from bedside_core import log
from bedside_core.console import say, table
from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.record import RequestRecord
from bedside_inference.config import AdmissionConfig, AuditConfig
from bedside_inference.gateway.access.limits import Limits
from bedside_inference.gateway.access.rates.memory import MemoryStore
from bedside_inference.gateway.api.answers import conforming
from bedside_inference.gateway.api.bodies import prepare_body
from bedside_inference.gateway.api.events import whole_answer
from bedside_inference.gateway.engines.admission import Admission
from bedside_inference.gateway.envelope import Reporter
from bedside_inference.gateway.exchange import Exchange
from bedside_inference.gateway.telemetry.metrics import Metrics

RESULTS = Path(__file__).parents[1] / "results" / "cold.json"
SLEEP_SECONDS = 0.03
TIMES, IN_A_ROW = 100, 1000
TOGETHER = 16
CHAT = "/v1/chat/completions"
QUESTION = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Guten Tag, wie geht es Ihnen? " * 4}],
    "max_tokens": 32,
}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "wort " * 32, "refusal": None},
            "logprobs": None,
            "finish_reason": "length",
        }
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 32, "total_tokens": 44},
}


def parts(audit: AuditLog) -> dict[str, Callable[[], object]]:
    """By name, each as the gateway runs it for one whole chat request."""
    question, answer = json.dumps(QUESTION).encode(), json.dumps(ANSWER).encode()
    admission, limits = Admission(AdmissionConfig()), Limits(MemoryStore())
    reporter = Reporter(Metrics())
    record = RequestRecord(
        request_id="", started=time.time(), client_address="127.0.0.1", client_app="other",
        method="POST", route=CHAT, model=MODEL, model_digest="a" * 64, evidence="b" * 64,
        verdict="better", parameters="c" * 64, pseudonym="1." + "d" * 88,
        department="ward", purpose_of_use="TREAT", outcome="answered", status=200,
    )  # fmt: skip
    exchange = Exchange(record, first_byte=0.1)
    count = iter(range(UNREACHED))

    def begin() -> None:
        record.request_id = f"{next(count):032x}"
        audit.begin(record)

    def report(exchanges: int) -> None:
        reporter._waiting = [(exchange, 0.1, logging.INFO)] * exchanges
        reporter.report()

    async def rates() -> None:
        grant = await limits.take("somebody", UNREACHED, UNREACHED, 100)
        await limits.settle(grant, 44)

    async def place() -> None:
        async with admission.enter("somebody", "ward", 100):
            pass

    return {
        "nothing": lambda: None,
        "body checked and written anew": lambda: prepare_body(
            question, CHAT, MODEL, {"cache_salt": "e" * 64, "priority": 1}
        ),
        "rates, before and after": lambda: run(rates()),
        "a place at the engine": lambda: run(place()),
        "audit: begin": begin,
        "audit: finish": lambda: audit.finish(record),
        "answer read and made to conform": lambda: conforming(
            CHAT, answer, whole_answer(answer), MODEL
        ),
        "counted and logged": lambda: report(1),
        f"counted and logged, {TOGETHER} together": lambda: report(TOGETHER),
    }


def run(waiting_for_nothing: Coroutine[Any, Any, None]) -> None:
    try:
        waiting_for_nothing.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def measure(part: Callable[[], object]) -> dict[str, float]:
    """Median microseconds after a sleep, and the mean of many in a row."""
    cold = []
    for _ in range(TIMES):
        time.sleep(SLEEP_SECONDS)
        began = time.perf_counter_ns()
        part()
        cold.append(time.perf_counter_ns() - began)
    began = time.perf_counter_ns()
    for _ in range(IN_A_ROW):
        part()
    warm = (time.perf_counter_ns() - began) / IN_A_ROW
    return {
        "after_a_sleep_us": round(statistics.median(cold) / 1000, 1),
        "in_a_row_us": round(warm / 1000, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    facts = machine()
    os.sched_setaffinity(0, PEER_CORE)
    found = {}
    with tempfile.TemporaryDirectory(prefix="bedside-cold-") as directory:
        path = Path(directory)
        with (path / "log").open("w") as sys.stderr:
            log.configure()
            with AuditLog(path / "audit", AuditConfig()) as audit:
                todo = parts(audit)
                gc.collect()
                gc.freeze()
                for name, part in todo.items():
                    found[name] = measure(part)
        sys.stderr = sys.__stderr__
    arguments.results.parent.mkdir(exist_ok=True)
    result = {"machine": facts, "parts": found}
    arguments.results.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    rows = [["part", "us after a sleep", "us in a row"]]
    rows += [[name, *map(str, us.values())] for name, us in found.items()]
    say(table(rows))


if __name__ == "__main__":
    main()
