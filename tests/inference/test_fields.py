"""Only declared fields pass to the engine; everything else is refused, and nothing is quoted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_inference.gateway.bodies import prepare_body
from bedside_inference.gateway.errors import ApiError
from bedside_inference.gateway.fields import REQUESTS, VENDOR_FIELDS

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
HELLO = {"role": "user", "content": "Guten Tag \u00e4\U0001f600"}
CANARY = "Frau Mustermann, geboren 1950"


def chat(**changes: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [HELLO], **changes}


def prepared(body: dict[str, Any], path: str = CHAT) -> dict[str, Any]:
    return json.loads(prepare_body(json.dumps(body).encode(), path, "m", "salt"))


def refused(body: dict[str, Any], path: str = CHAT) -> ApiError:
    with pytest.raises(ApiError) as caught:
        prepare_body(json.dumps(body).encode(), path, "m", "salt")
    assert CANARY not in json.dumps(caught.value.body)
    return caught.value


TOOL = {
    "type": "function",
    "function": {
        "name": "dose",
        "description": "d",
        "strict": True,
        "parameters": {"type": "object", "properties": {"mg": {"type": "number"}}},
    },
}
CALL = {"id": "c", "type": "function", "function": {"name": "dose", "arguments": "{}"}}
REPLAYED = {
    "role": "assistant", "content": None, "refusal": None, "annotations": None, "audio": None,
    "function_call": None, "reasoning": None, "tool_calls": [CALL],
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": True, "stream_options": {"include_usage": True}},
        {"temperature": 1, "top_p": 0.5, "seed": 7, "n": 2, "max_tokens": 5},
        {"max_completion_tokens": 5, "presence_penalty": -2, "frequency_penalty": 1.5},
        {"stop": "ab"},
        {"stop": ["a", "b", "c", "d"]},
        {"logprobs": True, "top_logprobs": 20},
        {"response_format": {"type": "json_object"}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True},
            }
        },
        {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "dose"}}},
        {"messages": [HELLO, REPLAYED, {"role": "tool", "tool_call_id": "c", "content": "1"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
        {"temperature": None, "stop": None, "tools": None},
    ],
)
def test_what_the_api_declares_passes_unchanged(changes) -> None:
    body = chat(**changes)
    assert prepared(body) == {**body, "cache_salt": "salt"}


@pytest.mark.parametrize(
    "prompt", ["Der Patient", ["Der Patient", "Die Patientin"]], ids=["one", "two"]
)
def test_completions(prompt) -> None:
    body = {"model": "m", "prompt": prompt, "max_tokens": 3, "logprobs": 5}
    assert prepared(body, COMPLETIONS) == {**body, "cache_salt": "salt"}


@pytest.mark.parametrize("name", sorted(VENDOR_FIELDS))
@pytest.mark.parametrize("path", sorted(REQUESTS))
def test_vendor_fields_are_refused_by_name(name, path) -> None:
    body = chat() if path == CHAT else {"model": "m", "prompt": "p"}
    error = refused({**body, name: CANARY}, path)
    assert (error.status, error.code, error.param) == (400, "unsupported_field", name)


def test_an_unknown_field_is_refused_without_its_name() -> None:
    error = refused(chat(**{CANARY: 1}))
    assert (error.status, error.code, error.param) == (400, "unsupported_field", None)


@pytest.mark.parametrize(
    "name",
    ["user", "metadata", "store", "safety_identifier", "prompt_cache_key", "service_tier"],
)
def test_fields_that_may_name_a_person_stay_here(name) -> None:
    value = {"metadata": {"patient": CANARY}, "store": True}.get(name, CANARY)
    assert prepared(chat(**{name: value})) == {**chat(), "cache_salt": "salt"}


MEDIA = [
    {"type": "image_url", "image_url": {"url": "http://192.0.2.1/x.png"}},
    {"type": "video_url", "video_url": {"url": "file:///etc/passwd"}},
    {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
    {"type": "file", "file": {"file_id": "f"}},
    {"type": "image_embeds", "image_embeds": ""},
    {"type": "text", "text": "a", "image_url": {"url": "http://192.0.2.1/"}},
]


@pytest.mark.parametrize("part", MEDIA, ids=lambda part: part["type"])
def test_media_are_refused(part) -> None:
    error = refused(chat(messages=[{"role": "user", "content": [part]}]))
    assert (error.status, error.param) == (400, "messages")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("stream", "yes"), ("stream", 1), ("n", 0), ("n", 9), ("n", "2"), ("n", True)),
        *(("temperature", -1), ("temperature", 3), ("temperature", "0"), ("top_p", 2)),
        *(("max_tokens", 0), ("max_tokens", 1.5), ("stop", ["a"] * 5), ("stop", ["a", 1])),
        *(("stop", "x" * 257), ("top_logprobs", 21), ("seed", "7"), ("logprobs", 1)),
        *(("messages", "Hallo"), ("messages", [CANARY]), ("messages", [{"role": CANARY}])),
        ("messages", [{"role": "user", "content": 1}]),
        ("messages", [{"role": "user", "content": "a", CANARY: 1}]),
        ("tools", [{**TOOL, "type": "retrieval"}]),
        ("tools", [TOOL] * 129),
        ("tool_choice", CANARY),
        ("response_format", {"type": "regex", "pattern": "(a+)+"}),
        ("response_format", {"type": "structural_tag"}),
        ("stream_options", {"continuous_usage_stats": True}),
    ],
)
def test_a_wrong_type_or_value_names_its_field_alone(name, value) -> None:
    error = refused(chat(**{name: value}))
    assert (error.status, error.param) == (400, name)
    assert error.code in ("invalid_value", "unsupported_field")


@pytest.mark.parametrize("prompt", [[1, 2, 3], [[1, 2]], [], ["a"] * 9, None, {"a": 1}])
def test_prompts_that_are_not_text(prompt) -> None:
    error = refused({"model": "m", "prompt": prompt}, COMPLETIONS)
    assert (error.status, error.param) == (400, "prompt")


def test_a_lone_surrogate_stays_what_it_was() -> None:
    raw = b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}'
    assert b'"\\ud800"' in prepare_body(raw, CHAT, "m", "salt")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = sorted({name for kind in REQUESTS.values() for name in kind.model_fields} | VENDOR_FIELDS)


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(), JSON, max_size=5))
def test_whatever_passes_is_declared(changes: dict[str, Any]) -> None:
    declared = set(REQUESTS[CHAT].model_fields) - REQUESTS[CHAT].IGNORED | {"cache_salt"}
    try:
        passed = prepared(chat(**changes))
    except ApiError as error:
        assert error.status in (400, 404)
        return
    assert set(passed) <= declared
    assert passed["cache_salt"] == "salt"
