"""Only declared fields pass to the engine; everything else is refused, and nothing is quoted."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_inference.gateway.api.bodies import Prepared, prepare_body
from bedside_inference.gateway.api.fields import (
    KNOWN_FIELDS,
    MAX_ANSWERS,
    MAX_INPUTS,
    REQUESTS,
)
from bedside_inference.gateway.api.names import VENDOR_FIELDS
from bedside_inference.gateway.api.parsing import MAX_NAMES
from bedside_inference.gateway.api.parts import (
    MAX_PATTERN,
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_DEPTH,
    Effort,
)
from bedside_inference.gateway.engines.client import KNOWN_PARAMETERS, LIMITS
from bedside_inference.gateway.errors import ApiError

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
EMBEDDINGS, RESPONSES = "/v1/embeddings", "/v1/responses"
HELLO = {"role": "user", "content": "Guten Tag \u00e4\U0001f600"}
CANARY = "Frau Mustermann, geboren 1950"
OWNED = {"cache_salt": "salt", "priority": 1}
LEAST = {
    CHAT: {"model": "m", "messages": [HELLO]},
    COMPLETIONS: {"model": "m", "prompt": "p"},
    EMBEDDINGS: {"model": "m", "input": "i"},
    RESPONSES: {"model": "m", "input": "i"},
}
SENT = {path: OWNED | request.FIXED for path, request in REQUESTS.items()}


def chat(**changes: Any) -> dict[str, Any]:
    return {**LEAST[CHAT], **changes}


def ask(body: object, path: str = CHAT) -> Prepared:
    return prepare_body(json.dumps(body).encode(), path, "m", OWNED)


def prepared(body: dict[str, Any], path: str = CHAT) -> dict[str, Any]:
    return json.loads(ask(body, path).body)


def refused(body: object, path: str = CHAT) -> ApiError:
    with pytest.raises(ApiError) as caught:
        ask(body, path)
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
        {"stream": False},
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
        *({"reasoning_effort": effort} for effort in get_args(Effort)),
        {"top_k": 40, "min_p": 0.05},
    ],
)
def test_what_the_api_declares_passes_unchanged(changes) -> None:
    """But for nulls; those of a JSON schema are the client's."""
    body = chat(**changes)
    assert prepared(body) == {**told(body), **OWNED}


def told(value: Any) -> Any:
    """Without null members."""
    if isinstance(value, list):
        return [told(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {name: told(inner) for name, inner in value.items() if inner is not None}


@pytest.mark.parametrize(
    "prompt", ["Der Patient", ["Der Patient", "Die Patientin"]], ids=["one", "two"]
)
def test_completions(prompt) -> None:
    body = {"model": "m", "prompt": prompt, "max_tokens": 3, "logprobs": 5}
    assert prepared(body, COMPLETIONS) == {**body, **OWNED}


@pytest.mark.parametrize("name", sorted(VENDOR_FIELDS))
@pytest.mark.parametrize("path", sorted(REQUESTS))
def test_vendor_fields_are_refused_by_name(name, path) -> None:
    error = refused(LEAST[path] | {name: CANARY}, path)
    assert (error.status, error.code, error.param) == (400, "unsupported_field", name)


def test_another_routes_field_is_refused_by_name() -> None:
    assert refused(chat(max_output_tokens=1)).param == "max_output_tokens"
    assert refused(LEAST[RESPONSES] | {"messages": [HELLO]}, RESPONSES).param == "messages"


def declared_by_vllm(sources: Path) -> dict[str, set[str]]:
    """Field names of the engine's request models, read without importing it."""
    fields: dict[str, set[str]] = {}
    bases: dict[str, list[str]] = {}
    for name in ("chat_completion", "completion", "responses"):
        _read_classes(sources / "openai" / name / "protocol.py", fields, bases)
    for name in ("base", "embed"):
        _read_classes(sources / "pooling" / name / "protocol.py", fields, bases)

    def all_of(name: str) -> set[str]:
        return fields.get(name, set()).union(*map(all_of, bases.get(name, [])))

    models = {
        CHAT: "ChatCompletionRequest",
        COMPLETIONS: "CompletionRequest",
        EMBEDDINGS: "EmbeddingCompletionRequest",
        RESPONSES: "ResponsesRequest",
    }
    return {path: {n for n in all_of(model) if n[0] != "_"} for path, model in models.items()}


def _read_classes(source: Path, fields: dict[str, set[str]], bases: dict[str, list[str]]) -> None:
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.ClassDef):
            annotated = [inner.target for inner in node.body if isinstance(inner, ast.AnnAssign)]
            fields[node.name] = {target.id for target in annotated if isinstance(target, ast.Name)}
            bases[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]


def test_the_engine_has_no_field_that_we_do_not_know() -> None:
    """What we pass must mean something to vLLM; what it adds one day must be looked at."""
    found = list(
        Path(__file__).parents[4].glob(".venvs/engine/lib/*/site-packages/vllm/entrypoints")
    )
    if not found:
        pytest.skip("the engine's environment is not set up: make setup")
    for path, names in declared_by_vllm(found[0]).items():
        request = REQUESTS[path]
        assert set(request.model_fields) - request.IGNORED <= names
        assert set(SENT[path]) <= names
        assert names <= KNOWN_FIELDS | {"cache_salt", "priority"}


def test_the_engines_errors_may_name_what_passes() -> None:
    fields = {
        name
        for request in REQUESTS.values()
        for name in set(request.model_fields) - request.IGNORED | {"user"}
    }
    assert fields == KNOWN_PARAMETERS
    assert {name for request in REQUESTS.values() for name in request.LIMITS} == LIMITS


def test_an_unknown_field_is_refused_without_its_name() -> None:
    error = refused(chat(**{CANARY: 1}))
    assert (error.status, error.code, error.param) == (400, "unsupported_field", None)


@pytest.mark.parametrize(
    "name",
    [
        *("user", "metadata", "store", "safety_identifier", "service_tier"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
    ],
)
def test_fields_of_openais_own_service_stay_here(name) -> None:
    values = {"metadata": {"patient": CANARY}, "store": True}
    value = values.get(name, {"ttl": CANARY} if name.endswith("options") else CANARY)
    assert prepared(chat(**{name: value})) == {**chat(), **OWNED}
    assert (
        prepared(LEAST[RESPONSES] | {name: value}, RESPONSES) == LEAST[RESPONSES] | SENT[RESPONSES]
    )


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
        ("response_format", {"type": "json_schema"}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "s"}}),
        ("response_format", {"type": "json_object", "regex": "a"}),
        ("stream_options", {"continuous_usage_stats": True}),
        ("stream_options", {"include_usage": True}),  # without a stream
        ("stream_options", {"include_obfuscation": True}),
        *(("reasoning_effort", "extreme"), ("top_k", 1.5), ("min_p", 2)),
        *(("max_tokens", 1 << 31), ("seed", 1 << 63), ("seed", 10**400), ("temperature", 10**400)),
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
    found = prepare_body(raw, CHAT, "m", OWNED)
    assert b'"\\ud800"' in found.body
    assert found.prompt_bytes == len("roleusercontent") + 3


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth - 1):
        schema = {"items": schema}
    return schema


SCHEMAS = [
    (nested(MAX_SCHEMA_DEPTH), True),
    (nested(MAX_SCHEMA_DEPTH + 1), False),
    ({"description": "x" * (MAX_SCHEMA_BYTES - 20)}, True),
    ({"description": "x" * MAX_SCHEMA_BYTES}, False),
    ({"$defs": {"a": {}}, "$ref": "#/$defs/a"}, True),
    ({"properties": {"a": {"$ref": "http://192.0.2.1/schema"}}}, False),
    ({"anyOf": [{"$ref": "file:///etc/passwd"}]}, False),
    ({"pattern": "a" * MAX_PATTERN}, True),
    ({"properties": {"a": {"pattern": "(a+)+" * 100}}}, False),
    ({"properties": {"pattern": {"type": "string"}, "$ref": {"type": "string"}}}, True),
    ({str(number): {} for number in range(MAX_NAMES + 1)}, False),
]


@pytest.mark.parametrize(("schema", "passes"), SCHEMAS)
def test_schemas_are_bounded_wherever_they_stand(schema, passes) -> None:
    form = {"name": "s", "schema": schema}
    function = {"name": "s", "parameters": schema, "strict": True}
    for body, path in (
        (chat(response_format={"type": "json_schema", "json_schema": form}), CHAT),
        (chat(tools=[{"type": "function", "function": function}]), CHAT),
        (LEAST[RESPONSES] | {"text": {"format": {"type": "json_schema", **form}}}, RESPONSES),
        (LEAST[RESPONSES] | {"tools": [{"type": "function", **function}]}, RESPONSES),
    ):
        if passes:
            assert prepared(body, path) == body | SENT[path]
        else:
            assert refused(body, path).status == 400


EMBEDDED = [
    {"input": ["a", "b"]},
    {"encoding_format": "float", "dimensions": 8},
    {"encoding_format": "base64"},
    {"input": ["a"] * MAX_INPUTS},
]


@pytest.mark.parametrize("changes", EMBEDDED)
def test_embeddings(changes) -> None:
    body = LEAST[EMBEDDINGS] | changes
    assert prepared(body | {"user": CANARY}, EMBEDDINGS) == body | OWNED
    assert ask(body, EMBEDDINGS).max_tokens == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("input", []), ("input", [1, 2]), ("input", [[1]]), ("input", ["a"] * (MAX_INPUTS + 1))),
        *(("input", [{"role": "user", "content": CANARY}]), ("dimensions", 0)),
        *(("encoding_format", "bytes"), ("stream", True), ("temperature", 1)),
    ],
)
def test_embeddings_of_something_else(name, value) -> None:
    error = refused(LEAST[EMBEDDINGS] | {name: value}, EMBEDDINGS)
    assert (error.status, error.param) == (400, name)


ASKED = {"role": "user", "content": "Hallo"}
FLAT_TOOL = {"type": "function", "name": "dose", "parameters": {"type": "object"}, "strict": None}
RESPONSE_CHANGES = [
    {"input": [ASKED, {"role": "assistant", "content": "Guten Tag"}]},
    {"input": [{"type": "message", "role": "developer", "content": [
        {"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]}]},
    {"instructions": "Kurz.", "max_output_tokens": 5, "temperature": 0, "top_p": 1.0},
    {"stream": True},
    {"text": {"format": {"type": "text"}}},
    {"text": {"format": {"type": "json_object"}}},
    {"text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}}},
    {"tools": [FLAT_TOOL], "tool_choice": "required", "parallel_tool_calls": False},
    {"tools": [FLAT_TOOL], "tool_choice": {"type": "function", "name": "dose"}},
    {"reasoning": {"effort": "xhigh"}, "truncation": "disabled"},
]  # fmt: skip


@pytest.mark.parametrize("changes", RESPONSE_CHANGES)
def test_responses(changes) -> None:
    body = LEAST[RESPONSES] | changes
    passed = told(body) | OWNED | {"store": False}
    for item in passed["input"]:
        if isinstance(item, dict) and item.get("role") == "assistant":
            item["type"] = "message"  # vLLM wants it said
    assert prepared(body, RESPONSES) == passed
    assert ask(body, RESPONSES).asked_for_usage  # it is a part of the last event


def test_responses_are_never_stored() -> None:
    for value in (True, False, None):
        assert prepared(LEAST[RESPONSES] | {"store": value}, RESPONSES)["store"] is False


SAID_AS = {"role": "assistant", "content": "a"}
SAID = {"type": "message", "role": "assistant"}
CALLED = {"type": "function_call", "call_id": "c", "name": "dose", "arguments": "{}"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("input", []), ("input", [CANARY]), ("input", [1]), ("input", {}), ("input", [[]])),
        ("input", [{"role": CANARY, "content": "a"}]),
        ("input", [{"type": CANARY}]),
        *(("input", [{"type": kind, **SAID_AS}]) for kind in (0, False, "", [])),
        ("input", [{"type": ["message"], "role": "user", "content": "a"}]),
        ("input", [{"type": "asked", "role": "user", "content": "a"}]),
        ("input", [{"type": "(asked)", "role": "user", "content": "a"}]),
        ("input", [{"type": "item_reference", "id": "msg_1"}]),
        ("input", [{"type": "web_search_call", "id": "w", "status": "completed"}]),
        (
            "input",
            [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}],
        ),
        ("input", [{"role": "user", "content": [{"type": "input_file", "file_url": "file:///e"}]}]),
        ("input", [{"role": "user", "content": [{"type": "output_text", "text": "a"}]}]),
        # vLLM would go on writing these as if it had begun them.
        ("input", [{**SAID, "content": "a", "status": "incomplete"}]),
        ("input", [{**SAID, "content": "a", "status": "in_progress"}]),
        # vLLM would not read the second part, and fails without a first.
        ("input", [{**SAID, "content": [{"type": "output_text", "text": "a"}] * 2}]),
        ("input", [{**SAID, "content": []}]),
        ("input", [{**SAID, "content": [{"type": "refusal", "refusal": "a"}]}]),
        ("input", [{"role": "user", "content": "a", "phase": "b"}]),
        ("input", [{"type": "reasoning", "summary": [], "encrypted_content": "a"}]),
        ("input", [{**CALLED, "namespace": "a"}]),
        ("input", [{"type": "function_call_output", "call_id": "c", "output": [{"type": "x"}]}]),
        ("tools", [{"type": "web_search"}]),
        ("tools", [{"type": "mcp", "server_label": "a", "server_url": "http://192.0.2.1/"}]),
        ("tools", [{"type": "custom", "name": "a", "format": {"type": "grammar"}}]),
        ("tools", [{**FLAT_TOOL, "output_schema": {}}]),
        ("tool_choice", {"type": "allowed_tools", "mode": "auto", "tools": []}),
        ("text", {"format": {"type": "regex"}}),
        ("text", {"format": {"type": "json_schema", "name": "a"}}),
        ("text", {"verbosity": "low"}),
        ("reasoning", {"effort": CANARY}),
        ("reasoning", {"summary": "detailed"}),  # there are none
        ("truncation", "auto"),  # a conversation must not lose its beginning in silence
        *(("max_output_tokens", 0), ("n", 1), ("stop", "a"), ("seed", 1)),
        ("stream_options", {"include_obfuscation": True}),
        ("include", ["reasoning.encrypted_content"]),
    ],
)
def test_a_response_of_something_else(name, value) -> None:
    error = refused(LEAST[RESPONSES] | {name: value}, RESPONSES)
    assert (error.status, error.param) == (400, name)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_stream_always_tells_its_usage(path) -> None:
    for options, asked in (
        ({}, False),
        ({"stream_options": None}, False),
        ({"stream_options": {}}, False),
        ({"stream_options": {"include_usage": None}}, False),
        ({"stream_options": {"include_usage": False}}, False),
        ({"stream_options": {"include_usage": True}}, True),
    ):
        found = ask(LEAST[path] | {"stream": True} | options, path)
        assert json.loads(found.body)["stream_options"] == {"include_usage": True}
        assert (found.stream, found.asked_for_usage) == (True, asked)
    whole = ask(LEAST[path], path)
    assert "stream_options" not in json.loads(whole.body)
    assert (whole.stream, whole.asked_for_usage) == (False, True)


def test_what_the_gateway_needs_to_know() -> None:
    found = ask(chat(n=2, max_tokens=7, max_completion_tokens=5, stop=["ä"], tools=[TOOL]))
    assert (found.max_tokens, found.answers) == (5, 2)
    assert ask(chat(max_tokens=7)).max_tokens == 7
    assert ask(chat()).max_tokens is None
    assert ask(LEAST[COMPLETIONS], COMPLETIONS).max_tokens == 16  # the API's default
    assert ask(LEAST[RESPONSES] | {"max_output_tokens": 3}, RESPONSES).max_tokens == 3
    assert ask(LEAST[EMBEDDINGS] | {"input": ["a", "b", "c"]}, EMBEDDINGS).answers == 3
    both = LEAST[COMPLETIONS] | {"prompt": ["a", "b"], "n": 4}
    assert ask(both, COMPLETIONS).answers == MAX_ANSWERS
    assert refused(both | {"n": 5}, COMPLETIONS).param == "n"


@given(st.text(), st.text())
def test_prompt_bytes_are_those_of_the_text(text: str, instructions: str) -> None:
    bare = ask(LEAST[RESPONSES] | {"input": "", "instructions": ""}, RESPONSES).prompt_bytes
    found = ask(LEAST[RESPONSES] | {"input": text, "instructions": instructions}, RESPONSES)
    assert found.prompt_bytes - bare == len((text + instructions).encode("utf-8", "surrogatepass"))
    tools = ask(chat(tools=[TOOL])).prompt_bytes - ask(chat()).prompt_bytes
    assert tools > len("dosedobjectmgnumberpropertiesparameters")


def test_the_digest_of_parameters_has_no_text() -> None:
    plain = chat(temperature=0.5, n=2, tool_choice="auto", stream=True)
    digest = ask(plain).parameters
    texts = {
        "messages": [{"role": "user", "content": CANARY}],
        "stop": [CANARY],
        "tools": [TOOL],
        "user": CANARY,
        "seed": None,
    }
    assert ask(plain | texts).parameters == digest
    written = b'{"n":2,"stream":true,"temperature":0.5,"tool_choice":"auto"}'
    assert digest == hashlib.sha256(written).hexdigest()
    for change in ({"temperature": 0.6}, {"tool_choice": "none"}, {"seed": 1}, {"stream": False}):
        assert ask(plain | change).parameters != digest
    assert ask(chat(temperature=1)).parameters == ask(chat(temperature=1.0)).parameters
    schemas = [{"name": name, "schema": {"title": name}} for name in ("a", "b")]
    forms = [chat(response_format={"type": "json_schema", "json_schema": s}) for s in schemas]
    assert len({ask(form).parameters for form in forms}) == 1
    assert ask(forms[0]).parameters != ask(chat(response_format={"type": "text"})).parameters


def test_many_undeclared_fields_are_cheap_to_refuse() -> None:
    for body in (
        {str(number): 0 for number in range(100_000)},
        chat(messages=[1] * 300_000),
        chat(messages=[{"role": "user", "content": [1] * 300_000}]),
        LEAST[RESPONSES] | {"input": [{}] * 300_000},
    ):
        refused(body, RESPONSES if "input" in body else CHAT)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PATHS = st.sampled_from(sorted(REQUESTS))
FIELDS = sorted(KNOWN_FIELDS)
ERROR_CODES = {
    *("invalid_json", "invalid_value", "unsupported_field", "missing_model", "model_not_found"),
    *("missing_messages", "missing_prompt", "missing_input"),
}
VALID = [
    (CHAT, chat(messages=[HELLO, REPLAYED], tools=[TOOL], tool_choice="auto", stop=["a"])),
    (CHAT, chat(stream=True, stream_options={}, response_format={"type": "json_object"})),
    (COMPLETIONS, {**LEAST[COMPLETIONS], "prompt": ["a", "b"], "n": 2, "logprobs": 1}),
    (EMBEDDINGS, {**LEAST[EMBEDDINGS], "input": ["a"], "encoding_format": "float"}),
    *((RESPONSES, LEAST[RESPONSES] | changes) for changes in RESPONSE_CHANGES),
]


@given(PATHS, st.dictionaries(st.sampled_from(FIELDS) | st.text(), JSON, max_size=5))
def test_whatever_passes_is_declared(path: str, changes: dict[str, Any]) -> None:
    request = REQUESTS[path]
    declared = set(request.model_fields) - request.IGNORED | set(SENT[path])
    try:
        passed = prepared(LEAST[path] | changes, path)
    except ApiError as error:
        assert error.status in (400, 404)
        assert error.code in ERROR_CODES
        return
    assert set(passed) <= declared
    assert SENT[path].items() <= passed.items()


@given(PATHS, JSON | st.binary())
def test_anything_at_all_is_an_answer_or_an_error(path: str, body: object) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(ApiError) as caught:
        prepare_body(raw, path, "m", OWNED)
    assert caught.value.status in (400, 404)
    assert caught.value.code in ERROR_CODES


@settings(max_examples=300)
@given(st.data())
def test_a_valid_request_with_one_change(data: st.DataObject) -> None:
    """Some value anywhere in a valid request becomes another: taken or refused, never a bug."""
    path, valid = data.draw(st.sampled_from(VALID))
    body = json.loads(json.dumps(valid))
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [body]
    while waiting:
        inside = waiting.pop()
        keys = list(inside) if isinstance(inside, dict) else range(len(inside))
        places += [(inside, key) for key in keys]
        waiting += [inside[key] for key in keys if isinstance(inside[key], dict | list)]
    inside, key = data.draw(st.sampled_from(places))
    inside[key] = data.draw(JSON)
    try:
        passed = prepared(body, path)
    except ApiError as error:
        assert error.status in (400, 404)
        assert error.code in ERROR_CODES
        assert error.param is None or error.param in KNOWN_FIELDS
        return
    assert passed["cache_salt"] == "salt"
