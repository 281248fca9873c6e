"""A whole answer in the form that OpenAI publishes.

vLLM writes null for what it has nothing to say about, also where the published schemas know no
null, and leaves out members that they require; generated clients refuse such answers. Streams pass
as they are: OpenAI's clients take their events one by one and unchecked.

Members that are vLLM's own stay; the schemas do not forbid more than they name.
"""

from __future__ import annotations

from typing import Any

OPAQUE = frozenset({"parameters", "schema"})
"""JSON schemas of the client's, where null may mean something."""

REQUIRED: dict[str, dict[str, dict[str, None]]] = {
    "/v1/chat/completions": {
        "choices": {"logprobs": None},
        "message": {"content": None, "refusal": None},
        "logprobs": {"content": None, "refusal": None},
        "content": {"bytes": None},
        "top_logprobs": {"bytes": None},
    },
    "/v1/completions": {"choices": {"logprobs": None}},
    "/v1/embeddings": {},
    "/v1/responses": {
        "": dict.fromkeys(
            ("error", "incomplete_details", "instructions", "metadata", "temperature", "top_p")
        ),
        "tools": {"parameters": None, "strict": None},
    },
}
"""Per route, and per member that an object is found in: what must be there, if only as null."""


def conforming(path: str, answer: dict[str, Any]) -> dict[str, Any]:
    """An answer of the route with the nulls that its schema requires and no others."""
    told = _told(answer, "", REQUIRED[path])
    assert isinstance(told, dict)  # noqa: S101 - as the answer is
    return told


def _told(value: Any, member: str, required: dict[str, dict[str, None]]) -> Any:
    if isinstance(value, list):
        return [_told(inner, member, required) for inner in value]
    if not isinstance(value, dict) or member in OPAQUE:
        return value
    told = {
        name: _told(inner, name, required) for name, inner in value.items() if inner is not None
    }
    return required.get(member, {}) | told
