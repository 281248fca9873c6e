"""Many requests to a real server, which fails in every way that servers have."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from bedside_core.endpoint import client, responses
from bedside_core.endpoint.client import Body, Outcome, UnansweredError, connected
from bedside_core.endpoint.config import EndpointConfig
from bedside_core.errors import BedsideError, ConfigError, InputError

CHAT = "/v1/chat/completions"
CANARY = "Frau Beispiel, geboren am 1. 1. 1900"


def chat(question: str, **more: Any) -> Body:
    return {"messages": [{"role": "user", "content": question}], **more}


def text(answer: Body | None) -> str:
    assert answer is not None
    return str(answer["choices"][0]["message"]["content"])


async def ask(config: EndpointConfig, cache: Path, question: str = "a", **more: Any) -> Body:
    async with connected(config, cache) as endpoint:
        return await endpoint.ask(CHAT, chat(question, **more))


async def ask_all(
    config: EndpointConfig, cache: Path, questions: Iterable[str]
) -> dict[int, Outcome]:
    bodies = [chat(question) for question in questions]
    async with connected(config, cache) as endpoint:
        found = [each async for each in endpoint.ask_all(CHAT, bodies, total=len(bodies))]
    assert len(found) == len(bodies)
    return {each.number: each for each in found}


# What is asked, and how often


async def test_each_is_asked_once_and_never_again(server, config, cache) -> None:
    questions = [str(number) for number in range(40)]
    first = await ask_all(config, cache, questions)
    assert [text(first[n].answer) for n in range(40)] == [f"answer to {n}" for n in range(40)]
    again = await ask_all(config, cache, [*questions, "new"])
    assert [again[n].cached for n in (0, 39, 40)] == [True, True, False]
    assert again[7].answer == first[7].answer
    assert set(server.counts.values()) == {1} and len(server.counts) == 41


async def test_equal_requests_at_the_same_time_are_one(server, config, cache) -> None:
    server.script = lambda body, nth: {"seconds": 0.1}
    found = await ask_all(config, cache, ["same"] * 8)
    assert {text(each.answer) for each in found.values()} == {"answer to same"}
    assert server.asked == ["same"]


async def test_a_seed_makes_another_request(server, config, cache) -> None:
    for seed in (1, 2, 1):
        await ask(config, cache, seed=seed)
    assert server.asked == ["a", "a"]


async def test_other_weights_under_the_same_name_are_asked_anew(server, config, cache) -> None:
    await ask(config, cache)
    server.digest = "cd" * 32
    await ask(config, cache)
    server.digest = "ab" * 32
    await ask(config, cache)
    assert server.asked == ["a", "a"]


async def test_as_many_at_a_time_as_are_allowed(server, config, cache) -> None:
    server.script = lambda body, nth: {"seconds": 0.02}
    config = config.model_copy(update={"concurrency": 3})
    async with connected(config, cache) as endpoint:
        alone = [endpoint.ask(CHAT, chat(f"alone {n}")) for n in range(10)]
        bodies = [chat(f"of many {n}") for n in range(10)]

        async def many() -> None:
            async for _ in endpoint.ask_all(CHAT, bodies, total=10):
                pass

        await asyncio.gather(*alone, many())
    assert server.most == 3 and len(server.asked) == 20


async def test_requests_are_made_up_only_when_their_turn_comes(server, config, cache) -> None:
    made = 0

    def bodies() -> Iterable[Body]:
        nonlocal made
        for made in range(1, 1001):
            yield chat(str(made))

    async with (
        connected(config, cache) as endpoint,
        aclosing(endpoint.ask_all(CHAT, bodies(), total=1000)) as outcomes,
    ):
        async for _ in outcomes:
            break
    assert made <= 2 * config.concurrency


async def test_text_that_is_no_valid_unicode_is_asked_too(server, config, cache) -> None:
    assert text(await ask(config, cache, "half a pair: \ud83d")) == "answer to half a pair: \ud83d"
    await ask(config, cache, "half a pair: \ud83d")
    assert len(server.asked) == 1


async def test_at_a_unix_socket(unix_server, config, cache) -> None:
    config = config.model_copy(update={"address": unix_server.server_address})
    assert text(await ask(config, cache)) == "answer to a"
    assert unix_server.asked == ["a"]


async def test_the_key_goes_along_and_into_no_message(server, config, cache, monkeypatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "bsk-secret")
    config = config.model_copy(update={"key_variable": "JUDGE_KEY"})
    await ask(config, cache)
    assert server.headers[0]["Authorization"] == "Bearer bsk-secret"
    server.script = lambda body, nth: {"status": 401}
    with pytest.raises(ConfigError, match=r"\(401\) - JUDGE_KEY holds another key") as caught:
        await ask(config, cache, "b")
    assert "bsk-secret" not in str(caught.value)


# Waiting


async def test_a_wait_that_the_server_names_is_kept_by_all(server, config, cache) -> None:
    server.script = lambda body, nth: (
        {"status": 429, "headers": {"Retry-After": "1"}} if len(server.asked) == 1 else {}
    )
    async with connected(config, cache) as endpoint:
        first = asyncio.create_task(endpoint.ask(CHAT, chat("a")))
        while not server.asked:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        await endpoint.ask(CHAT, chat("b"))
        assert text(await first) == "answer to a"
    assert min(server.times[1:]) - server.times[0] >= 1


async def test_named_waits_are_no_failed_tries(server, config, cache, monkeypatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.001)
    busy = {"status": 503, "headers": {"Retry-After": "0.01"}}
    server.script = lambda body, nth: busy if nth <= 10 else {}
    assert text(await ask(config, cache)) == "answer to a"
    assert len(server.asked) == 11


@pytest.mark.parametrize("after", ["901", "1e300", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_nobody_waits_for_ever(server, config, cache, after) -> None:
    server.script = lambda body, nth: (
        {"status": 429, "headers": {"Retry-After": after}} if body["messages"] else {}
    )
    with pytest.raises(UnansweredError, match="http_429"):
        await ask(config, cache)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "told", "times"),
    [
        (500, None, 3), (502, None, 3), (408, None, 3), (409, None, 3), (429, None, 3),
        (500, "false", 1), (429, "false", 1), (400, "true", 3), (400, None, 1), (413, None, 1),
        (422, "nonsense", 1), (502, "false", 3), (504, "false", 1),
    ],
)  # fmt: skip
async def test_what_is_tried_again(server, config, cache, status, told, times) -> None:
    headers = {"x-should-retry": told} if told else {}
    server.script = lambda body, nth: {"status": status, "headers": headers, "content": b"{}"}
    found = await ask_all(config, cache, ["a"])
    assert (found[0].answer, found[0].reason) == (None, f"http_{status}")
    assert len(server.asked) == times


# Answers that are none


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"hang": True},
        {"cut": True},
        {"content": b"{"},
        {"content": b'"text"'},
        {"content": b'{"choices": []}'},
        {"content": b"[" * 100_000},
        {"content": b'{"choices": [1], "a": "' + b"x" * 5000 + b'"}'},
        {"content": b"\xff\xfe"},
    ],
    ids=lambda fault: str(fault)[:24],
)
async def test_a_fault_is_tried_again(server, config, cache, monkeypatch, fault) -> None:
    monkeypatch.setattr(responses, "MAX_ANSWER_BYTES", 4096)
    server.script = lambda body, nth: fault if nth == 1 else {}
    config = config.model_copy(update={"timeout_seconds": 2.5})
    assert text(await ask(config, cache)) == "answer to a"
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"hang": True}, "timeout"),
        ({"cut": True}, "broken_off"),
        ({"content": b"{"}, "no_completion"),
    ],
)
async def test_reasons_are_words_to_count(server, config, cache, fault, reason) -> None:
    server.script = lambda body, nth: fault if body["messages"][0]["content"] == "bad" else {}
    config = config.model_copy(update={"timeout_seconds": 2.5, "retries": 0})
    found = await ask_all(config, cache, ["good", "bad", "better"])
    assert [found[n].reason for n in range(3)] == [None, reason, None]
    server.script = lambda body, nth: {}
    assert text(await ask(config, cache, "bad")) == "answer to bad"  # a failure is not kept


async def test_a_server_that_fails_every_request_ends_the_work(server, config, cache) -> None:
    server.script = lambda body, nth: {"status": 500}
    config = config.model_copy(update={"retries": 0})
    with pytest.raises(InputError, match="10 requests in a row have no answer"):
        await ask_all(config, cache, map(str, range(1000)))
    assert len(server.counts) < 10 + config.concurrency


@pytest.mark.parametrize("status", [302, 401, 403, 404, 405])
async def test_what_no_request_can_mend_ends_the_work(server, config, cache, status) -> None:
    elsewhere = {"Location": f"http://127.0.0.1:{server.server_address[1]}/elsewhere"}
    server.script = lambda body, nth: {"status": status, "headers": elsewhere}
    with pytest.raises(ConfigError, match=f"({status})"):
        await ask_all(config, cache, map(str, range(1000)))
    assert len(server.asked) <= 2 * config.concurrency


async def test_a_server_that_goes_away(server, config, cache) -> None:
    server.script = lambda body, nth: {"headers": {"Connection": "close"}}
    async with connected(config, cache) as endpoint:
        await endpoint.ask(CHAT, chat("a"))
        server.shutdown()
        server.server_close()
        with pytest.raises(InputError, match="nobody answers there"):
            await endpoint.ask(CHAT, chat("b"))


@pytest.mark.parametrize("later", ["cd" * 32, None])
async def test_another_model_in_the_middle(server, config, cache, later) -> None:
    async with connected(config, cache) as endpoint:
        await endpoint.ask(CHAT, chat("a"))
        server.digest = later
        with pytest.raises(InputError, match="that is not abababababab"):
            await endpoint.ask(CHAT, chat("b"))
    server.digest = "ab" * 32
    await ask_all(config, cache, ["a", "b"])
    assert server.counts == {"a": 1, "b": 2}


async def test_no_proxy_of_the_environment(server, config, cache, monkeypatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert text(await ask(config, cache)) == "answer to a"


# Text stays where it belongs


async def test_no_text_in_messages_or_log(server, config, cache, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    quoting = {"status": 400, "content": json.dumps({"error": {"message": CANARY}}).encode()}
    faults = [quoting, quoting | {"status": 500}, {"content": CANARY.encode()}, {"cut": True}]
    config = config.model_copy(update={"retries": 1})
    said = []
    for number, fault in enumerate(faults):
        server.script = lambda body, nth, fault=fault: fault
        with pytest.raises(BedsideError) as caught:
            await ask(config, cache, f"{CANARY} {number}")
        said.append("".join(traceback.format_exception(caught.value)))
        assert caught.value.__context__ is None or caught.value.__suppress_context__
    server.script = lambda body, nth: {}
    said.append(repr(await ask_all(config, cache, [CANARY])))
    assert "asked again" in caplog.text
    assert "Beispiel" not in caplog.text + "".join(said)


async def test_files_are_for_their_owner_alone(server, config, cache) -> None:
    await ask_all(config, cache, "abc")
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert len([path for path in files if path.suffix == ".json"]) == 3
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (cache / server.digest).stat().st_mode & 0o777 == 0o700


# Processes that die, and several at a time

WORKER = f"""
import asyncio, sys
from pathlib import Path
from bedside_core.endpoint.client import connected
from bedside_core.endpoint.config import EndpointConfig
async def main():
    config = EndpointConfig.model_validate_json(sys.argv[1])
    numbers = map(str, range(int(sys.argv[3])))
    bodies = [{{"messages": [{{"role": "user", "content": number}}]}} for number in numbers]
    async with connected(config, Path(sys.argv[2])) as endpoint:
        async for outcome in endpoint.ask_all("{CHAT}", bodies, total=len(bodies)):
            assert outcome.answer is not None
            print(outcome.number, flush=True)
asyncio.run(main())
"""


def worker(config: EndpointConfig, cache: Path, count: int) -> subprocess.Popen[str]:
    arguments = [config.model_dump_json(), str(cache), str(count)]
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, *arguments], stdout=subprocess.PIPE, text=True
    )


def test_after_a_kill_only_the_rest_is_asked(server, config, cache) -> None:
    server.script = lambda body, nth: {"seconds": 0.02}
    config = config.model_copy(update={"concurrency": 4})
    first = worker(config, cache, 30)
    assert first.stdout is not None
    answered = {first.stdout.readline().strip() for _ in range(10)}
    first.kill()
    first.communicate()
    time.sleep(0.1)  # what was under way at the server
    asked = len(server.asked)
    assert 10 <= asked < 30
    second = worker(config, cache, 30)
    out, _ = second.communicate(timeout=60)
    assert second.returncode == 0 and len(out.split()) == 30
    assert all(server.counts[number] == 1 for number in answered)
    assert len(server.counts) == 30 and len(server.asked) <= 30 + config.concurrency


def test_two_processes_ask_for_nothing_twice(server, config, cache) -> None:
    server.script = lambda body, nth: {"seconds": 0.02}
    both = [worker(config, cache, 30) for _ in range(2)]
    for each in both:
        out, _ = each.communicate(timeout=120)
        assert each.returncode == 0 and len(out.split()) == 30
    assert set(server.counts.values()) == {1} and len(server.counts) == 30
