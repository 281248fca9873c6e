"""What asks for nothing is left out; every name that OpenAI publishes has been decided on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import UnionType
from typing import (
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params

from bedside_inference.gateway.api import history, parts
from bedside_inference.gateway.api.bodies import prepare_body
from bedside_inference.gateway.api.fields import KNOWN_FIELDS, KNOWN_NAMES, REQUESTS
from bedside_inference.gateway.api.names import HINTS, NEUTRAL, VENDOR_FIELDS
from bedside_inference.gateway.errors import ApiError

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
EMBEDDINGS, RESPONSES = "/v1/embeddings", "/v1/responses"
USER = {"role": "user", "content": "Hallo"}
LEAST: dict[str, dict[str, Any]] = {
    CHAT: {"model": "m", "messages": [USER]},
    COMPLETIONS: {"model": "m", "prompt": "p"},
    EMBEDDINGS: {"model": "m", "input": "i"},
    RESPONSES: {"model": "m", "input": "i"},
}


def prepared(body: dict[str, Any], path: str = CHAT) -> Any:
    return prepare_body(json.dumps(body).encode(), path, "m", {})


@pytest.mark.parametrize("path", sorted(REQUESTS))
@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_a_neutral_value_is_the_same_as_nothing(path, name) -> None:
    for value in (None, *NEUTRAL[name]):
        assert prepared(LEAST[path] | {name: value}, path) == prepared(LEAST[path], path)


@pytest.mark.parametrize("path", sorted(REQUESTS))
def test_null_is_the_same_as_nothing(path) -> None:
    """To OpenAI; vLLM refuses null for `n`, `tools` and others, and takes a null `truncation` for
    leave to cut a conversation."""
    names = KNOWN_NAMES - LEAST[path].keys()
    assert prepared(LEAST[path] | dict.fromkeys(names), path) == prepared(LEAST[path], path)


WITHIN = [
    (CHAT, {"messages": [USER | dict.fromkeys(KNOWN_NAMES - USER.keys())]}, {}),
    (CHAT, {"tools": [], "tool_choice": "auto"}, {"tool_choice": "auto"}),
    (CHAT, {"stream_options": {"include_obfuscation": False}}, {}),
    (RESPONSES, {"stream_options": {"include_obfuscation": False}}, {}),
    (RESPONSES, {"include": [], "background": False, "truncation": None}, {}),
    (RESPONSES, {"reasoning": {"effort": "low", "summary": "auto", "context": None}},
     {"reasoning": {"effort": "low"}}),
    (RESPONSES, {"text": {"format": {"type": "text"}, "verbosity": "medium"}},
     {"text": {"format": {"type": "text"}}}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "changes", "same"), WITHIN)
def test_within_fields_too(path, changes, same) -> None:
    assert prepared(LEAST[path] | changes, path) == prepared(LEAST[path] | same, path)


def test_nulls_of_a_json_schema_are_the_clients() -> None:
    schema = {"enum": [None, 1], "default": None, "properties": {"a": {"const": None}}}
    tool = {"type": "function", "function": {"name": "a", "parameters": schema}}
    body = json.loads(prepared(LEAST[CHAT] | {"tools": [tool]}).body)
    assert body["tools"][0]["function"]["parameters"] == schema


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("background", 0), ("echo", 0), ("best_of", True), ("best_of", 2), ("include", ["a"])),
        *(("modalities", ["text", "audio"]), ("verbosity", "low"), ("logit_bias", {"5": 1})),
        *(("context_management", [{}]), ("moderation", {}), ("repetition_penalty", 1.1)),
    ],
)
def test_what_is_only_like_a_neutral_value_is_refused(name, value) -> None:
    with pytest.raises(ApiError) as caught:
        prepared(LEAST[CHAT] | {name: value})
    assert (caught.value.code, caught.value.param) == ("unsupported_field", name)


def test_hints_for_a_cache_are_left_out_wherever_they_stand() -> None:
    hints = {name: {"type": "ephemeral"} for name in HINTS}
    part = {"type": "text", "text": "a"}
    tool = {"type": "function", "function": {"name": "a"}}
    with_hints = {
        "messages": [{**USER, "content": [part | hints]} | hints],
        "tools": [tool | hints],
    }
    without = {"messages": [{**USER, "content": [part]}], "tools": [tool]}
    assert prepared(LEAST[CHAT] | with_hints | hints) == prepared(LEAST[CHAT] | without)


def typed_dicts(hint: Any) -> Iterator[Any]:
    """Every TypedDict that a value of this type may be."""
    if isinstance(hint, type) and hasattr(hint, "__required_keys__"):
        yield hint
    elif get_origin(hint) is not Literal:
        for inner in get_args(hint):
            yield from typed_dicts(inner)


def literal(hint: Any) -> set[str]:
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    if get_origin(hint) in (Required, NotRequired, Union, UnionType):
        return set().union(*map(literal, get_args(hint)))
    return set()


def hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


PARAMS = {
    CHAT: chat_create_params.CompletionCreateParamsBase,
    COMPLETIONS: completion_create_params.CompletionCreateParamsBase,
    EMBEDDINGS: embedding_create_params.EmbeddingCreateParams,
    RESPONSES: response_create_params.ResponseCreateParamsBase,
}


@pytest.mark.parametrize("path", sorted(REQUESTS))
def test_every_field_of_openais_package_is_decided(path) -> None:
    """Declared (passed on, or among the ignored) or refused by name."""
    published, declared = set(hints(PARAMS[path])), set(REQUESTS[path].model_fields)
    assert published - declared <= KNOWN_FIELDS | NEUTRAL.keys()
    for name in published - declared:
        with pytest.raises(ApiError) as caught:
            prepared(LEAST[path] | {name: {"a": 1}}, path)
        assert (caught.value.code, caught.value.param) == ("unsupported_field", name)


def our_parts(hint: Any) -> Iterator[type[parts.Part]]:
    """Every part that a field of ours may hold."""
    if isinstance(hint, type) and issubclass(hint, parts.Part):
        yield hint
    for inner in get_args(hint):
        yield from our_parts(inner)


def agree(kind: Any, part: type[parts.Part]) -> bool:
    """Whether one may be the other, by what tells kinds apart."""
    return all(
        literal(hints(kind)[name]) & literal(part.model_fields[name].annotation)
        for name in ("type", "role")
        if name in hints(kind) and name in part.model_fields
    )


def pairs(kind: Any, part: type[parts.Part]) -> Iterator[tuple[Any, type[parts.Part] | None]]:
    """Each TypedDict within and its part of ours; none if we take no such kind."""
    yield kind, part
    for name, field in part.model_fields.items():
        published = hints(kind).get(field.alias or name)
        ours = set(our_parts(get_type_hints(part, include_extras=True)[name]))
        if published is None or not ours:
            continue
        for inner in typed_dicts(published):
            fitting = [mine for mine in ours if agree(inner, mine)]
            for mine in fitting:
                yield from pairs(inner, mine)
            if not fitting:
                yield inner, None


@pytest.mark.parametrize("path", sorted(REQUESTS))
def test_every_member_of_openais_package_is_decided(path) -> None:
    """At every depth: declared, dropped or refused by name; other kinds by their type or role."""
    seen = set()
    for kind, part in pairs(PARAMS[path], REQUESTS[path]):
        if part is None:
            assert {"type", "role"} & hints(kind).keys() or hints(kind).keys() <= {"id"}, kind
            continue
        seen.add(part)
        if not issubclass(part, history.Past):
            assert hints(kind).keys() <= KNOWN_NAMES, (kind, part)
    assert seen >= set(our_parts_within(REQUESTS[path])), path


def our_parts_within(part: type[parts.Part]) -> Iterator[type[parts.Part]]:
    yield part
    for hint in get_type_hints(part, include_extras=True).values():
        for inner in our_parts(hint):
            yield from our_parts_within(inner)


@pytest.mark.parametrize("name", sorted(VENDOR_FIELDS))
def test_no_name_is_both_declared_and_refused(name) -> None:
    assert all(name not in request.model_fields for request in REQUESTS.values())


TEXT = "\u2603"
UNDECLARED = st.dictionaries(
    st.text(TEXT, min_size=1), st.just(TEXT) | st.lists(st.just(TEXT)), max_size=2
)


def places(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within, but for those of a JSON schema."""
    if isinstance(value, dict):
        yield value
        for name, inner in value.items():
            if name not in ("schema", "parameters"):
                yield from places(inner)
    if isinstance(value, list):
        for inner in value:
            yield from places(inner)


FUNCTION = {"name": "f", "arguments": "{}"}
FULL = {
    CHAT: LEAST[CHAT] | {
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "a"}]},
            USER,
            {"role": "assistant", "content": [{"type": "text", "text": "a"}],
             "tool_calls": [{"id": "c", "type": "function", "function": FUNCTION}]},
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "a"}]},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}},
        "stream": True, "stream_options": {"include_usage": True},
    },
    RESPONSES: LEAST[RESPONSES] | {
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
            {"type": "reasoning", "summary": [],
             "content": [{"type": "reasoning_text", "text": "a"}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
            {"type": "function_call", "call_id": "c", **FUNCTION},
            {"type": "function_call_output", "call_id": "c", "output": "a"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {}}],
        "text": {"format": {"type": "json_schema", "name": "s", "schema": {}}},
        "reasoning": {"effort": "low"},
    },
}  # fmt: skip


@given(st.data(), st.sampled_from([CHAT, RESPONSES]))
def test_nothing_undeclared_reaches_the_engine_at_any_depth(data, path: str) -> None:
    """Whatever is put anywhere into a full request: it is refused, or the body is as without."""
    body = json.loads(json.dumps(FULL[path]))
    place = data.draw(st.sampled_from([*places(body)]))
    place.update(data.draw(UNDECLARED))
    try:
        found = prepared(body, path)
    except ApiError as error:
        assert error.code == "unsupported_field"
        return
    assert found == prepared(FULL[path], path)
