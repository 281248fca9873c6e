"""Whole answers get the nulls that the published schemas require, and no others."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_inference.gateway.api.answers import FINGERPRINTED, REQUIRED, RESPONSES, conforming

CHAT = "/v1/chat/completions"
MODEL = "ab" * 32
NAMES = st.sampled_from(["choices", "message", "logprobs", "content", "tools", "schema", "a"])
JSON = st.recursive(
    st.sampled_from([None, True, 1, "a"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def told(path: str, answer: dict[str, Any]) -> dict[str, Any]:
    return json.loads(conforming(path, b"unread", answer, MODEL))


def test_embeddings_pass_as_they_are() -> None:
    assert conforming("/v1/embeddings", b"as it is", {"usage": None}, MODEL) == b"as it is"


def test_a_null_that_the_schema_does_not_know_is_left_out() -> None:
    message = {"role": "assistant", "content": None, "annotations": None, "reasoning": "a"}
    answer = {"choices": [{"message": message, "stop_reason": None}], "service_tier": None}
    said = {"role": "assistant", "content": None, "refusal": None, "reasoning": "a"}
    choices = [{"message": said, "logprobs": None}]
    assert told(CHAT, answer) == {"choices": choices, "system_fingerprint": MODEL}


def test_a_null_in_a_clients_schema_stays() -> None:
    schema = {"properties": {"mg": {"default": None, "enum": [1, None]}}}
    tools = [{"type": "function", "parameters": schema, "strict": None, "description": None}]
    form = {"type": "json_schema", "schema": schema, "strict": None}
    found = told(RESPONSES, {"tools": tools, "text": {"format": form, "verbosity": None}})
    assert found["tools"] == [{"type": "function", "parameters": schema, "strict": None}]
    assert found["text"] == {"format": {"type": "json_schema", "schema": schema}}
    assert found["error"] is None


def test_what_a_text_of_a_response_must_have() -> None:
    part = {"type": "output_text", "text": "a", "logprobs": None}
    reasoning = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "b"}]}
    odd = {"type": ["output_text"]}
    found = told(RESPONSES, {"output": [{"type": "message", "content": [part]}, reasoning, odd]})
    whole = {"type": "output_text", "text": "a", "annotations": [], "logprobs": []}
    assert found["output"] == [{"type": "message", "content": [whole]}, reasoning, odd]


@pytest.mark.parametrize("path", sorted(REQUIRED))
@settings(max_examples=40)
@given(answer=st.dictionaries(NAMES, JSON, max_size=4))
def test_nothing_is_lost_but_nulls(path: str, answer: dict[str, Any]) -> None:
    before = copy.deepcopy(answer)
    found = told(path, answer)
    assert answer == before
    assert told(path, found) == found
    marked = path in FINGERPRINTED
    assert found.pop("system_fingerprint", None) == (MODEL if marked else None)
    assert without_nulls(found) == without_nulls(answer)


def without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value]
    if isinstance(value, dict):
        kept = {name: inner for name, inner in value.items() if inner is not None}
        return {name: without_nulls(inner) for name, inner in kept.items()}
    return value
