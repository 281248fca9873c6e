"""Whole answers get the nulls that the published schemas require, and no others."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_inference.gateway.answers import REQUIRED, conforming
from bedside_inference.gateway.fields import REQUESTS

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
NAMES = (
    st.sampled_from(["choices", "message", "logprobs", "content", "tools", "schema"]) | st.text()
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
)


def test_every_route_has_a_form() -> None:
    assert set(REQUIRED) == set(REQUESTS)


def test_a_null_that_the_schema_does_not_know_is_left_out() -> None:
    message = {"role": "assistant", "content": None, "annotations": None, "reasoning": "a"}
    answer = {"choices": [{"message": message, "stop_reason": None}], "service_tier": None}
    said = {"role": "assistant", "content": None, "refusal": None, "reasoning": "a"}
    assert conforming(CHAT, answer) == {"choices": [{"message": said, "logprobs": None}]}


def test_a_null_in_a_clients_schema_stays() -> None:
    schema = {"properties": {"mg": {"default": None, "enum": [1, None]}}}
    tools = [{"type": "function", "parameters": schema, "strict": None, "description": None}]
    form = {"type": "json_schema", "schema": schema, "strict": None}
    told = conforming(RESPONSES, {"tools": tools, "text": {"format": form, "verbosity": None}})
    assert told["tools"] == [{"type": "function", "parameters": schema, "strict": None}]
    assert told["text"] == {"format": {"type": "json_schema", "schema": schema}}
    assert told["error"] is None


@pytest.mark.parametrize("path", sorted(REQUIRED))
@given(answer=st.dictionaries(NAMES, JSON, max_size=4))
def test_nothing_is_lost_but_nulls(path: str, answer: dict[str, Any]) -> None:
    before = copy.deepcopy(answer)
    told = conforming(path, answer)
    assert answer == before
    assert conforming(path, told) == told
    assert without_nulls(told) == without_nulls(answer)
    json.dumps(told)


def without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value]
    if isinstance(value, dict):
        kept = {name: inner for name, inner in value.items() if inner is not None}
        return {name: without_nulls(inner) for name, inner in kept.items()}
    return value
