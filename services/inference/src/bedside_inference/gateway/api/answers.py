"""A whole answer in the form that OpenAI publishes.

vLLM writes null for what it has nothing to say about, also where the published schemas know no
null, and leaves out members that they require; generated clients refuse such answers. The same
holds for the events of `/v1/responses` that repeat a whole response, item or part. All others pass
as they are.

Members that are vLLM's own stay; the schemas do not forbid more than they name.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

OPAQUE = frozenset({"parameters", "schema"})
"""JSON schemas of the client's, where null may mean something."""

FINGERPRINT = "system_fingerprint"
FINGERPRINTED = frozenset({"/v1/chat/completions", "/v1/completions"})
"""Routes whose answers and events have that member by OpenAI's schemas: which model answered."""

RESPONSES = "/v1/responses"
REQUIRED: dict[str, dict[str, dict[str, Any]]] = {
    "/v1/chat/completions": {
        "choices": {"logprobs": None},
        "message": {"content": None, "refusal": None},
        "logprobs": {"content": None, "refusal": None},
        "content": {"bytes": None},
        "top_logprobs": {"bytes": None},
    },
    "/v1/completions": {"choices": {"logprobs": None}},
    RESPONSES: {
        "response": dict.fromkeys(
            (
                *("access_programs", "error", "incomplete_details", "instructions", "metadata"),
                *("temperature", "top_p"),
            )
        ),
        "tools": {"parameters": None, "strict": None},
        "output_text": {"annotations": (), "logprobs": ()},
    },
}
"""Per route, and per member that an object is found in or per its `type`: what must be there, if
only as null or empty."""


def conforming(path: str, body: bytes, answer: dict[str, Any], model: str) -> bytes:
    """The bytes of an answer with the nulls that its schema requires and no others.

    Where there is a `system_fingerprint`, it is the model's digest.

    Embeddings stay as they are: they are long, and the schema names nothing that vLLM leaves open.

    Args:
        path: the route.
        body: the engine's bytes.
        answer: what they say.
        model: digest of the model that gave it.
    """
    required = REQUIRED.get(path)
    if required is None:
        return body
    told = _told(answer, "response", required)
    return to_json({**told, FINGERPRINT: model} if path in FINGERPRINTED else told)


def conforming_event(said: dict[str, Any]) -> bytes:
    """The same for an event of `/v1/responses`."""
    return to_json(_told(said, "event", REQUIRED[RESPONSES]))


def _told(value: Any, member: str, required: dict[str, dict[str, Any]]) -> Any:
    if isinstance(value, list):
        return [_told(inner, member, required) for inner in value]
    if not isinstance(value, dict) or member in OPAQUE:
        return value
    told = {
        name: _told(inner, name, required) for name, inner in value.items() if inner is not None
    }
    kind = told.get("type")
    needed = required.get(kind, {}) if isinstance(kind, str) else {}
    return required.get(member, {}) | needed | told
