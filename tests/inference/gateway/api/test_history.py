"""What the model said comes back as clients keep it; what they add never reaches the engine."""

from __future__ import annotations

import json
from typing import Any

import openai.types.responses as sdk
import pytest

from bedside_inference.gateway.api.bodies import prepare_body
from bedside_inference.gateway.errors import ApiError

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
USER = {"role": "user", "content": "Hallo"}
FUNCTION = {"name": "dose", "arguments": "{}"}
CALL = {"id": "c", "type": "function", "function": FUNCTION}
SAID = {"role": "assistant", "content": "Guten Tag"}
CALLED = {"role": "assistant", "tool_calls": [CALL]}
GAVE = {"role": "tool", "tool_call_id": "c", "content": "5 mg"}


def reach(name: str, value: Any, path: str) -> Any:
    """What of a field reaches the engine."""
    body = {"model": "m", name: value}
    return json.loads(prepare_body(json.dumps(body).encode(), path, "m", {}).body)[name]


def refused(name: str, value: Any, path: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        reach(name, value, path)
    assert (caught.value.status, caught.value.param) == (400, name)
    return caught.value


ADDED = {
    "openai-python's stream helper": (
        {
            **CALLED,
            "parsed": None,
            "tool_calls": [
                {**CALL, "index": 0, "function": {**FUNCTION, "parsed_arguments": {"mg": 1}}}
            ],
        },
        CALLED,
    ),
    "litellm": (
        {**SAID, "reasoning_content": "so", "provider_specific_fields": {"refusal": None}},
        {**SAID, "reasoning": "so"},
    ),
    "both names of a thought": (
        {**SAID, "reasoning_content": "a", "reasoning": "b"},
        {**SAID, "reasoning": "b"},
    ),
    "a thought without words": ({**SAID, "reasoning_content": None, "reasoning": None}, SAID),
    "Open WebUI": ({**CALLED, "content": "", "reasoning_details": [{"type": "x"}]},
                   {**CALLED, "content": ""}),
    "history": (
        {**SAID, "finish_reason": "stop", "id": "x", "annotations": [{"type": "url_citation"}]},
        SAID,
    ),
    "hints for a cache": (
        {
            **SAID,
            "cache_control": {},
            "content": [{"type": "text", "text": "a", "cache_control": {}, "annotations": []}],
        },
        {**SAID, "content": [{"type": "text", "text": "a"}]},
    ),
    "a refusal": ({**SAID, "content": [{"type": "refusal", "refusal": "a", "x": 1}]},
                  {**SAID, "content": [{"type": "refusal", "refusal": "a"}]}),
    "empty lists and nulls": (
        {**SAID, "tool_calls": [], "annotations": [], "audio": None, "function_call": None},
        SAID,
    ),
    "a function's name that was never declared": (
        {**CALLED, "tool_calls": [{**CALL, "function": {**FUNCTION, "name": "server.tool"}}]},
        {**CALLED, "tool_calls": [{**CALL, "function": {**FUNCTION, "name": "server.tool"}}]},
    ),
    "a tool": ({**GAVE, "artifact": {}, "is_error": False}, GAVE),
}  # fmt: skip


@pytest.mark.parametrize("case", ADDED)
def test_what_clients_add_to_the_past_is_dropped(case) -> None:
    message, passed = ADDED[case]
    assert reach("messages", [USER, message, USER], CHAT) == [USER, passed, USER]


@pytest.mark.parametrize(
    "message",
    [
        {**USER, "prefix": True},
        {**USER, "id": "x"},
        {**USER, "content": [{"type": "text", "text": "a", "annotations": [1]}]},
        {**USER, "tool_calls": [CALL]},
        {"role": "system", "content": "a", "tools": []},
    ],
)
def test_what_is_asked_stays_closed(message) -> None:
    assert refused("messages", [message], CHAT).code == "unsupported_field"


@pytest.mark.parametrize(
    "message",
    [
        {**SAID, "content": [{"type": "image_url", "image_url": {"url": "http://192.0.2.1/"}}]},
        {**GAVE, "content": [{"type": "image_url", "image_url": {"url": "http://192.0.2.1/"}}]},
        {**SAID, "audio": {"id": "a"}},
        {**SAID, "function_call": FUNCTION},
        {**CALLED, "tool_calls": [{**CALL, "function": {"name": "dose", "arguments": {}}}]},
        {**CALLED, "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "dose"}}]},
        {**SAID, "reasoning": ["a"]},
        {"role": "function", "name": "dose", "content": "5"},
    ],
)
def test_what_is_declared_of_the_past_is_checked(message) -> None:
    refused("messages", [USER, message], CHAT)


def test_nulls_and_empty_lists_of_generated_clients() -> None:
    names = ("name", "refusal", "function_call", "audio", "reasoning_content", "tool_call_id")
    empty = dict.fromkeys(names) | {"tool_calls": [], "annotations": []}
    assert reach("messages", [USER | empty], CHAT) == [USER]


def test_what_a_response_gave_may_come_back() -> None:
    """A client without a stored conversation appends the output of one turn to the next input."""
    said = sdk.ResponseOutputMessage(
        id="msg_1",
        type="message",
        role="assistant",
        status="completed",
        content=[sdk.ResponseOutputText(type="output_text", text="a", annotations=[])],
    )
    called = sdk.ResponseFunctionToolCall(
        type="function_call",
        id="fc_1",
        call_id="c",
        name="dose",
        arguments="{}",
        status="completed",
    )
    thought = sdk.ResponseReasoningItem(
        type="reasoning",
        id="rs_1",
        summary=[],
        content=[{"type": "reasoning_text", "text": "b"}],  # type: ignore[list-item]
    )
    items = [item.model_dump(mode="json", by_alias=True) for item in (thought, said, called)]
    gave = {"type": "function_call_output", "call_id": "c", "output": "1 mg"}
    assert reach("input", [*items, gave, USER], RESPONSES) == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "b"}],
        },
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "a"}],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c",
            "name": "dose",
            "arguments": "{}",
            "status": "completed",
        },
        gave,
        USER,
    ]


def test_what_clients_add_to_items_is_dropped() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "dose", "arguments": "{}"}
    items = [
        {**call, "parsed_arguments": {}, "index": 0},
        {"type": "function_call_output", "call_id": "c", "output": "a", "created_by": "b"},
        {**SAID, "content": [{"type": "output_text", "text": "a", "parsed": {}, "logprobs": [1]}]},
        {"type": None, **USER},
    ]
    assert reach("input", items, RESPONSES) == [
        call,
        {"type": "function_call_output", "call_id": "c", "output": "a"},
        {"type": "message", **SAID, "content": [{"type": "output_text", "text": "a"}]},
        USER,
    ]


def test_a_thought_whose_status_a_client_kept_from_its_beginning() -> None:
    """LangChain does; passed on as the last item, vLLM would have the model write on from it."""
    thought = {"type": "reasoning", "summary": [], "id": "rs_1"}
    for status in ("in_progress", "incomplete", "completed", None):
        assert reach("input", [USER, {**thought, "status": status}], RESPONSES) == [USER, thought]
