"""Streams pass byte by byte, but for their mark, usage that nobody wants and what is repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_inference.gateway.api.events import (
    MAX_CONFORMING_BYTES,
    MAX_EVENT_BYTES,
    Events,
    Usage,
    whole_answer,
)
from bedside_inference.gateway.errors import ApiError

MODEL = "ab" * 32
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
TRAPS = (
    *('"usage":{"prompt_tokens":9}', '"error":{"message":"x"}', "data: x\n\n", '"choices":[]'),
    *('"system_fingerprint":"x",', "\ndata: {"),
)
texts = st.text() | st.sampled_from(TRAPS)


def event(**members: object) -> bytes:
    return b"data: " + json.dumps(members, separators=(",", ":")).encode() + b"\n\n"


def content(text: str, reason: str | None = None) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": reason}])


USAGE = event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8})
DONE = b"data: [DONE]\n\n"


def passed(
    chunks: list[bytes], *, keep_usage: bool = True, path: str = CHAT
) -> tuple[bytes, Events]:
    events = Events(path, Usage(), MODEL, keep_usage=keep_usage)
    return b"".join(events.feed(chunk) for chunk in chunks), events


def marked(stream: bytes) -> bytes:
    """The same events, each with the model that made it."""
    begin = b'data: {"system_fingerprint":"%s",' % MODEL.encode()
    parts = stream.split(b"\n\n")
    return b"\n\n".join(part.replace(b"data: {", begin, 1) for part in parts)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(stream) + 1) for place in places} | {len(stream)})
    return [stream[a:b] for a, b in zip([0, *ends], ends, strict=False) if a < b]


@given(st.lists(texts, max_size=5), st.lists(st.integers(0), max_size=8), st.booleans())
def test_whatever_the_texts_and_the_cuts(said: list[str], places: list[int], keep: bool) -> None:
    before = b"".join(content(text) for text in said) + content("", "stop")
    stream = before + USAGE + DONE
    found, events = passed(cut(stream, places), keep_usage=keep)
    assert found == marked(stream if keep else before + DONE)
    assert events.tail == b""
    events.close()
    assert (events.usage.prompt_tokens, events.usage.completion_tokens) == (3, 5)
    assert events.usage.finish_reason == "stop"


@given(st.lists(texts, min_size=1, max_size=5), st.lists(st.integers(0), max_size=8))
def test_an_error_event_is_not_passed_on(said: list[str], places: list[int]) -> None:
    stream = b"".join(content(text) for text in said)
    error = event(error={"message": "cannot parse 'patient'", "code": 400})
    events, found = Events(CHAT, Usage(), MODEL, keep_usage=True), b""
    with pytest.raises(ApiError, match="engine_error"):
        for chunk in cut(stream + error, places):
            found += events.feed(chunk)
    assert marked(stream).startswith(found)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("engines", [None, "vllm-0.32.0-1234"])
@given(texts)
def test_each_event_is_marked_once(path: str, engines: str | None, text: str) -> None:
    """Whatever the engine says of itself, and wherever it stands."""
    choices = [{"index": 0, "text": text}]
    first = event(system_fingerprint=engines, choices=choices)
    last = event(choices=choices, system_fingerprint=engines)
    middle = event(choices=choices, system_fingerprint=engines, id="a")
    found, _ = passed([first + middle, last, DONE], path=path)
    *events, done, rest = found.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    for one in events:
        members = json.loads(one[6:], object_pairs_hook=lambda pairs: pairs)
        assert [value for name, value in members if name == "system_fingerprint"] == [MODEL]
        assert said(one)["choices"] == choices


def test_events_of_responses_have_no_such_mark() -> None:
    stream = told("response.output_text.delta", delta="a", logprobs=[])
    assert passed([stream], path=RESPONSES)[0] == stream


def test_the_last_event_of_a_response() -> None:
    completed = {"id": "r", "status": "completed", "error": None,
                 "tools": [{"parameters": {"properties": {"usage": {}, "error": {}}}}],
                 "usage": {"input_tokens": 4, "output_tokens": 6}}  # fmt: skip
    stream = b"event: response.completed\n" + event(type="response.completed", response=completed)
    found, events = passed([stream], keep_usage=True)
    assert found == marked(stream)
    assert (events.usage.prompt_tokens, events.usage.completion_tokens) == (4, 6)
    failed = event(type="response.failed", response=completed | {"error": {"message": "patient"}})
    with pytest.raises(ApiError):
        passed([failed])


RESPONSE = {"id": "r", "status": "in_progress", "user": None, "usage": None}
REQUIRED = (
    *("access_programs", "error", "incomplete_details", "instructions", "metadata"),
    *("temperature", "top_p"),
)
PART = {"type": "output_text", "text": 'a "item":{', "logprobs": None}


def told(name: str, **members: object) -> bytes:
    return f"event: {name}\n".encode() + event(type=name, sequence_number=1, **members)


@given(st.lists(st.integers(0), max_size=8))
def test_what_a_response_repeats_is_conforming(places: list[int]) -> None:
    """Its pieces pass as they are."""
    delta = told("response.output_text.delta", delta='"response":{ null', logprobs=[])
    item = {"type": "message", "content": [PART], "phase": None}
    stream = (
        told("response.created", response=RESPONSE) + delta + delta
        + told("response.content_part.done", part=PART) + delta
        + told("response.output_item.done", item=item)
    )  # fmt: skip
    found, events = passed(cut(stream, places), path=RESPONSES)
    created, *deltas, done, third, last, rest = found.split(b"\n\n")
    assert [*deltas, third] == [delta.removesuffix(b"\n\n")] * 3
    assert (events.count, events.tail, rest) == (6, b"", b"")
    assert created.startswith(b"event: response.created\ndata: {")
    whole = {"id": "r", "status": "in_progress"} | dict.fromkeys(REQUIRED)
    part = PART | {"logprobs": [], "annotations": []}
    assert said(created) == {
        "type": "response.created", "sequence_number": 1, "response": whole,
    }  # fmt: skip
    assert said(done)["part"] == part
    assert said(last)["item"] == {"type": "message", "content": [part]}


def said(event: bytes) -> dict[str, Any]:
    found = json.loads(event.partition(b"data: ")[2])
    assert isinstance(found, dict)
    return found


def test_a_response_that_cannot_be_read_is_none() -> None:
    with pytest.raises(ApiError, match="engine_error"):
        passed([b'event: response.created\ndata: {"response":{"a"}}\n\n'], path=RESPONSES)


@pytest.mark.parametrize("garbage", [b"<html>\n\n", b"\n\n", b"\xff\n\n", b'{"choices": []}\n\n'])
def test_what_is_no_event(garbage: bytes) -> None:
    with pytest.raises(ApiError, match="engine_error"):
        passed([garbage])


@pytest.mark.parametrize("data", [b'{"usage":{', b'["usage":{]', b'{"error":{}', b'["error":{'])
def test_broken_json_where_it_matters(data: bytes) -> None:
    with pytest.raises(ApiError, match="engine_error"):
        passed([b"data: " + data + b"\n\n"], keep_usage=False)


def test_an_event_without_end_is_not_kept_for_ever() -> None:
    events = Events(CHAT, Usage(), MODEL, keep_usage=True)
    with pytest.raises(ApiError, match="engine_error"):
        for _ in range(MAX_EVENT_BYTES // 65536 + 2):
            events.feed(b"data: " + b"x" * 65536)


def test_tokens_are_counted_by_events_where_the_engine_did_not() -> None:
    _, events = passed([content("a"), content("b") + content("c")])
    events.close()
    assert events.usage.completion_tokens == 3
    assert events.usage.prompt_tokens is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b'{"error": {"code": 1}}', b"\xff"])
def test_a_whole_answer_that_is_none(body: bytes) -> None:
    with pytest.raises(ApiError, match="engine_error"):
        whole_answer(CHAT, body, Usage(), "ab")


def test_counts_of_a_long_answer_are_read_from_its_end() -> None:
    """Floats by the hundred thousand are not even parsed; what is broken there, nobody sees."""
    counts = {"prompt_tokens": 7, "total_tokens": 7, "prompt_tokens_details": {"cached_tokens": 1}}
    vectors = [{"embedding": [0.25] * 1000, "text": '"usage": {"prompt_tokens": 9}'}] * 100
    body = json.dumps({"object": "list", "data": vectors, "usage": counts}).encode()
    body = body.replace(b"0.25", b"0..5", 1)
    usage = Usage()
    assert whole_answer("/v1/embeddings", body, usage, "ab") == body
    assert (usage.prompt_tokens, usage.completion_tokens) == (7, 0)
    compact = json.dumps({"data": vectors, "usage": counts}, separators=(",", ":")).encode()
    assert whole_answer("/v1/embeddings", compact, usage := Usage(), "ab") == compact
    assert usage.prompt_tokens == 7
    with pytest.raises(ApiError, match="engine_error"):
        whole_answer("/v1/embeddings", body[:-30], Usage(), "ab")


def test_a_chat_answer_longer_than_any_text_passes_as_it_is() -> None:
    choice = {"message": {"content": "a", "x": None}, "logprobs": "a" * MAX_CONFORMING_BYTES,
              "finish_reason": "length"}  # fmt: skip
    for counts in ({"prompt_tokens": 1, "completion_tokens": 2}, None):
        said = {"choices": [choice], "usage": counts, "prompt_logprobs": None}
        marked = {**said, "system_fingerprint": None}
        body = json.dumps(marked).encode()
        usage = Usage()
        passed = json.loads(whole_answer(CHAT, body, usage, "ab"))
        assert passed.pop("system_fingerprint") == "ab"
        assert passed == said
        assert usage.finish_reason == "length"
        assert usage.completion_tokens == (counts and 2)


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"usage": 3, "choices": None},
        {"choices": [3]},
        {"choices": 1},
        {"usage": {"prompt_tokens": "x"}, "choices": [{}]},
    ],
)
def test_odd_answers_are_read_without_a_bug(odd: dict) -> None:
    usage = Usage()
    usage.read_answer(odd)
    assert usage.prompt_tokens is None
    assert usage.finish_reason is None
