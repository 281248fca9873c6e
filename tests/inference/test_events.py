"""Streams pass byte by byte; only the usage that nobody asked for is taken out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_inference.gateway.errors import ApiError
from bedside_inference.gateway.events import MAX_EVENT_BYTES, Events, Usage, whole_answer

TRAPS = ('"usage":{"prompt_tokens":9}', '"error":{"message":"x"}', "data: x\n\n", '"choices":[]')
texts = st.text() | st.sampled_from(TRAPS)


def event(**members: object) -> bytes:
    return b"data: " + json.dumps(members, separators=(",", ":")).encode() + b"\n\n"


def content(text: str, reason: str | None = None) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": reason}])


USAGE = event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8})
DONE = b"data: [DONE]\n\n"


def passed(chunks: list[bytes], *, keep_usage: bool = True) -> tuple[bytes, Events]:
    events = Events(Usage(), keep_usage=keep_usage)
    return b"".join(events.feed(chunk) for chunk in chunks), events


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(stream) + 1) for place in places} | {len(stream)})
    return [stream[a:b] for a, b in zip([0, *ends], ends, strict=False) if a < b]


@given(st.lists(texts, max_size=5), st.lists(st.integers(0), max_size=8), st.booleans())
def test_whatever_the_texts_and_the_cuts(said: list[str], places: list[int], keep: bool) -> None:
    before = b"".join(content(text) for text in said) + content("", "stop")
    stream = before + USAGE + DONE
    found, events = passed(cut(stream, places), keep_usage=keep)
    assert found == (stream if keep else before + DONE)
    assert events.tail == b""
    events.close()
    assert (events.usage.prompt_tokens, events.usage.completion_tokens) == (3, 5)
    assert events.usage.finish_reason == "stop"


@given(st.lists(texts, min_size=1, max_size=5), st.lists(st.integers(0), max_size=8))
def test_an_error_event_is_not_passed_on(said: list[str], places: list[int]) -> None:
    stream = b"".join(content(text) for text in said)
    error = event(error={"message": "cannot parse 'patient'", "code": 400})
    events, found = Events(Usage(), keep_usage=True), b""
    with pytest.raises(ApiError, match="engine_error"):
        for chunk in cut(stream + error, places):
            found += events.feed(chunk)
    assert stream.startswith(found)


def test_the_last_event_of_a_response() -> None:
    completed = {"id": "r", "status": "completed", "error": None,
                 "tools": [{"parameters": {"properties": {"usage": {}, "error": {}}}}],
                 "usage": {"input_tokens": 4, "output_tokens": 6}}  # fmt: skip
    stream = b"event: response.completed\n" + event(type="response.completed", response=completed)
    found, events = passed([stream], keep_usage=True)
    assert found == stream
    assert (events.usage.prompt_tokens, events.usage.completion_tokens) == (4, 6)
    failed = event(type="response.failed", response=completed | {"error": {"message": "patient"}})
    with pytest.raises(ApiError):
        passed([failed])


@pytest.mark.parametrize("garbage", [b"<html>\n\n", b"\n\n", b"\xff\n\n", b'{"choices": []}\n\n'])
def test_what_is_no_event(garbage: bytes) -> None:
    with pytest.raises(ApiError, match="engine_error"):
        passed([garbage])


@pytest.mark.parametrize("data", [b'{"usage":{', b'["usage":{]', b'{"error":{}', b'["error":{'])
def test_broken_json_where_it_matters(data: bytes) -> None:
    with pytest.raises(ApiError, match="engine_error"):
        passed([b"data: " + data + b"\n\n"], keep_usage=False)


def test_an_event_without_end_is_not_kept_for_ever() -> None:
    events = Events(Usage(), keep_usage=True)
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
        whole_answer(body)


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
