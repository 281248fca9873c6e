"""A refusal says where and what would be taken, with names of ours alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_inference.gateway.api.bodies import prepare_body
from bedside_inference.gateway.api.fields import KNOWN_NAMES, REQUESTS
from bedside_inference.gateway.errors import ApiError

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
USER = {"role": "user", "content": "Hallo"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
BAD_CALL = {**CALL, "function": {"name": "f", "arguments": {}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s"}}
NAME = "Mustermann"


def refused(changes: dict[str, Any], path: str = CHAT) -> ApiError:
    least = {CHAT: {"messages": [USER]}, RESPONSES: {"input": "a"}}[path]
    body = {"model": "m", **least, **changes}
    with pytest.raises(ApiError) as caught:
        prepare_body(json.dumps(body).encode(), path, "m", {})
    assert NAME not in json.dumps(caught.value.body)
    return caught.value


WRONG = [
    (
        {"messages": [USER] * 37 + [{"role": "assistant", "tool_calls": [CALL, CALL, BAD_CALL]}]},
        "messages[37].tool_calls[2].function.arguments",
        "must be a string.",
    ),
    ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content",
     "must be a string or an array."),
    ({"messages": [{"role": NAME, "content": "a"}]}, "messages[0]",
     "'role' is one of 'system', 'developer', 'user', 'assistant', 'tool'."),
    ({"messages": [USER, {"content": "a"}]}, "messages[1]", "an object with 'role'."),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]},
     "messages[0].content[0].text", "must be given."),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": None}]}]},
     "messages[0].content[0].text", "must be given."),
    ({"messages": NAME}, None, "'messages' must be an array."),
    ({"messages": []}, None, "'messages' must be an array of at least 1."),
    ({"temperature": 3}, None, "'temperature' must be at most 2.0."),
    ({"temperature": "1"}, None, "'temperature' must be a number."),
    ({"max_tokens": 4.0}, None, "'max_tokens' must be a whole number without a point."),
    ({"n": 0}, None, "'n' must be at least 1."),
    ({"seed": 1 << 63}, None, "'seed' must be less than 9223372036854775808."),
    ({"stream": 1}, None, "'stream' must be true or false."),
    ({"stop": ["a"] * 5}, None, "'stop' must be a string or an array of at most 4."),
    ({"stop": "a" * 257}, None, "a string of at most 256 characters"),
    ({"stop": ["a", ""]}, "stop[1]", "a string of at least 1 character"),
    ({"tool_choice": NAME}, None, "must be 'none', 'auto' or 'required' or an object."),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name",
     "must be a string of the pattern"),
    ({"tools": [{"type": "function", "function": {"name": "a", "parameters": {"$ref": "x"}}}]},
     "tools[0].function.parameters", "a JSON schema whose $ref lead to itself alone."),
    ({"response_format": SCHEMA}, "response_format.json_schema.schema", "must be given."),
    ({"messages": [USER, {"role": "assistant", "content": "a", "audio": {"id": "b"}}]},
     "messages[1].audio", "must be null or left out."),
    ({"metadata": []}, None, "'metadata' must be an object."),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "position", "says"), WRONG)
def test_a_wrong_value(changes, position, says) -> None:
    error = refused(changes)
    assert (error.code, error.param) == ("invalid_value", next(iter(changes)))
    assert f"'{position or error.param}'" in error.message
    assert says in error.message


ITEM = "a message, function_call, function_call_output or reasoning."
WRONG_ITEMS = [
    ({"type": "item_reference", "id": "a"}, "input[1]", ITEM),
    ({"role": "user", "content": [{"type": "input_image"}]}, "input[1].content[0].type",
     "'input_text'"),
    ({"role": "assistant", "content": "a", "status": "in_progress"}, "input[1].status",
     "'completed'"),
    ({"type": "reasoning", "summary": [], "reasoning": {}, "content": [{"text": "a"}]},
     "input[1].content[0].type", "must be given."),
]  # fmt: skip


@pytest.mark.parametrize(("item", "position", "says"), WRONG_ITEMS)
def test_a_wrong_item(item, position, says) -> None:
    error = refused({"input": [{"role": "user", "content": "a"}, item]}, RESPONSES)
    assert error.param == "input"
    assert f"'{position}' must be " in error.message
    assert says in error.message


IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {}}]}
PADDED = {"stream": True, "stream_options": {"include_obfuscation": True}}
UNDECLARED = [
    ({NAME: 1}, "Field 3 of 3 is not taken; what is: frequency_penalty, "),
    ({"guided_json": {}}, "'guided_json' is not taken; what is: "),
    (
        {"messages": [{**USER, NAME: 1, "a": 2}]},
        "Member 3 of 4 in 'messages[0]' is not taken; what is: content, name, role.",
    ),
    (
        {"messages": [USER, IMAGE]},
        "'image_url' in 'messages[1].content[0]' is not taken; what is: text, type.",
    ),
    (PADDED, "'include_obfuscation' in 'stream_options' is not taken"),
    # What is undeclared comes before what is wrong.
    ({"messages": [{"role": 1}], NAME: 1}, "Field 3 of 3 is not taken"),
]


@pytest.mark.parametrize(("changes", "says"), UNDECLARED)
def test_an_undeclared_name(changes, says) -> None:
    error = refused(changes)
    assert error.code == "unsupported_field"
    assert says in error.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="\u2603", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("\u2603") | st.sampled_from(sorted(KNOWN_NAMES)), inner)
    ),
    max_leaves=12,
)


@given(st.sampled_from(sorted(REQUESTS)), st.sampled_from(sorted(KNOWN_NAMES)), JSON)
def test_nothing_of_a_request_is_repeated(path: str, name: str, value: object) -> None:
    """All texts are of a character that none of our sentences has."""
    least = {"model": "m", "messages": [USER], "prompt": "\u2603", "input": "\u2603"}
    body = {n: v for n, v in least.items() if n in REQUESTS[path].model_fields} | {name: value}
    try:
        prepare_body(json.dumps(body).encode(), path, "m", {})
    except ApiError as error:
        assert "\u2603" not in json.dumps(error.body, ensure_ascii=False)
