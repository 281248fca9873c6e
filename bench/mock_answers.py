"""What the mock engine says: whole answers and streams as vLLM writes them, with a text of ours.

The shapes are those of vLLM 0.32 (entrypoints/openai/*/serving.py and protocol.py).

Tested in tests/inference/test_mock_engine.py.
"""

from __future__ import annotations

import base64
import json
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

TEXT = (
    "Hier antwortet die *Attrappe* einer Maschine, **kein Sprachmodell**: "
    "was hier steht, heißt für Kranke nichts."
)
"""What every answer repeats, in Markdown as models write it; a token is a word."""

WORDS = tuple(f" {word}" for word in TEXT.split())
DIMENSIONS = 64
"""Of an embedding."""
AS_JSON = tuple(json.dumps(word, ensure_ascii=False).encode() for word in WORDS)


@dataclass(frozen=True, slots=True)
class MockRequest:
    """What the answer to one request depends on."""

    id: str
    model: str
    created: int
    prompt_tokens: int
    tokens: int
    reason: Literal["stop", "length"]
    include_usage: bool

    @property
    def usage(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + self.tokens,
            "completion_tokens": self.tokens,
        }

    @property
    def text(self) -> str:
        return "".join(WORDS[number % len(WORDS)] for number in range(self.tokens))


class Route(NamedTuple):
    """How one route asks for an answer's length, and how the answer is written."""

    limits: tuple[str, ...]
    whole: Callable[[MockRequest], dict[str, Any]]
    events: Callable[[MockRequest], Iterator[bytes]]
    """As many pieces of the stream as there are tokens."""


def _chat(asked: MockRequest) -> dict[str, Any]:
    nothing = dict.fromkeys(("refusal", "annotations", "audio", "function_call", "reasoning"))
    return {
        "id": f"chatcmpl-{asked.id}",
        "object": "chat.completion",
        "created": asked.created,
        "model": asked.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": asked.text, **nothing},
                "logprobs": None,
                "finish_reason": asked.reason,
                "stop_reason": None,
                "token_ids": None,
            }
        ],
        "service_tier": None,
        "system_fingerprint": None,
        "usage": {**asked.usage, "prompt_tokens_details": None},
        "prompt_logprobs": None,
        "prompt_token_ids": None,
        "kv_transfer_params": None,
    }


def _chat_events(asked: MockRequest) -> Iterator[bytes]:
    chunk = _chunk(f"chatcmpl-{asked.id}", "chat.completion.chunk", asked)
    choice = chunk + b'[{"index":0,"delta":{'
    opening = (
        choice + b'"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],'
        b'"prompt_token_ids":null,"prompt_text":null}\n\n'
    )
    before = choice + b'"content":'
    after = b'},"logprobs":null,"finish_reason":null,"token_ids":null}]}\n\n'
    end = (
        b'},"logprobs":null,"finish_reason":"%s","stop_reason":null,"token_ids":null}]}\n\n'
        % asked.reason.encode()
    )
    return _pieces(asked, opening, before, after, end + _tail(chunk, asked))


def _completion(asked: MockRequest) -> dict[str, Any]:
    return {
        "id": f"cmpl-{asked.id}",
        "object": "text_completion",
        "created": asked.created,
        "model": asked.model,
        "choices": [
            {
                "index": 0,
                "text": asked.text,
                "logprobs": None,
                "finish_reason": asked.reason,
                "stop_reason": None,
                "token_ids": None,
                "prompt_logprobs": None,
                "prompt_token_ids": None,
            }
        ],
        "service_tier": None,
        "system_fingerprint": None,
        "usage": {**asked.usage, "prompt_tokens_details": None},
        "kv_transfer_params": None,
    }


def _completion_events(asked: MockRequest) -> Iterator[bytes]:
    chunk = _chunk(f"cmpl-{asked.id}", "text_completion", asked)
    after = (
        b',"logprobs":null,"finish_reason":%s,"stop_reason":null,"prompt_token_ids":null,'
        b'"token_ids":null}]}\n\n'
    )
    return _pieces(
        asked,
        opening=b"",
        before=chunk + b'[{"index":0,"text":',
        after=after % b"null",
        end=after % f'"{asked.reason}"'.encode() + _tail(chunk, asked),
    )


def _chunk(name: str, kind: str, asked: MockRequest) -> bytes:
    """The part that all chunks of a stream begin with; the list of choices follows."""
    shared = {"id": name, "object": kind, "created": asked.created, "model": asked.model}
    return b"data: " + _compact(shared)[:-1] + b',"choices":'


def _tail(chunk: bytes, asked: MockRequest) -> bytes:
    usage = (
        chunk + b'[],"usage":' + _compact(asked.usage) + b"}\n\n" if asked.include_usage else b""
    )
    return usage + b"data: [DONE]\n\n"


def _pieces(
    asked: MockRequest, opening: bytes, before: bytes, after: bytes, end: bytes
) -> Iterator[bytes]:
    """One piece per token; the opening goes with the first, as vLLM has nothing to say earlier."""
    last = asked.tokens - 1
    for number in range(asked.tokens):
        word = AS_JSON[number % len(AS_JSON)]
        yield b"".join((opening, before, word, end if number == last else after))
        opening = b""


def _response(asked: MockRequest) -> dict[str, Any]:
    ended = asked.reason == "stop"
    item = _item(asked, "completed" if ended else "incomplete", asked.text)
    return _response_object(asked, "completed" if ended else "incomplete", [item]) | {
        "incomplete_details": None if ended else {"reason": "max_output_tokens"},
        "usage": {
            "input_tokens": asked.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": asked.tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": asked.prompt_tokens + asked.tokens,
        },
    }


def _response_object(asked: MockRequest, status: str, output: list[Any]) -> dict[str, Any]:
    return {
        "id": f"resp_{asked.id}",
        "created_at": asked.created,
        "incomplete_details": None,
        "instructions": None,
        "metadata": None,
        "model": asked.model,
        "object": "response",
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "background": False,
        "max_output_tokens": asked.tokens,
        "service_tier": "auto",
        "status": status,
        "truncation": "disabled",
        "usage": None,
    }


def _item(asked: MockRequest, status: str, text: str | None) -> dict[str, Any]:
    return {
        "id": f"msg_{asked.id}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [] if text is None else [_part(text)],
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _response_events(asked: MockRequest) -> Iterator[bytes]:
    place = {"item_id": f"msg_{asked.id}", "output_index": 0, "content_index": 0}
    sequence = 0

    def event(kind: str, **facts: Any) -> bytes:
        nonlocal sequence
        content = _compact({"type": kind, "sequence_number": sequence, **facts})
        sequence += 1
        return b"event: " + kind.encode() + b"\ndata: " + content + b"\n\n"

    begun = _response_object(asked, "in_progress", [])
    item = _item(asked, "in_progress", None)
    piece = (
        event("response.created", response=begun)
        + event("response.in_progress", response=begun)
        + event("response.output_item.added", output_index=0, item=item)
        + event("response.content_part.added", **place, part=_part(""))
    )
    for number in range(asked.tokens):
        word = WORDS[number % len(WORDS)]
        piece += event("response.output_text.delta", **place, delta=word, logprobs=[])
        if number < asked.tokens - 1:
            yield piece
            piece = b""
    done = _response(asked)
    yield (
        piece
        + event("response.output_text.done", **place, text=asked.text, logprobs=[])
        + event("response.content_part.done", **place, part=_part(asked.text))
        + event("response.output_item.done", output_index=0, item=done["output"][0])
        + event("response.completed", response=done)
    )


def embeddings(
    name: str, model: str, count: int, prompt_tokens: int, *, as_base64: bool
) -> dict[str, Any]:
    """The answer of `/v1/embeddings`: the same unit vector for every input."""
    floats = [DIMENSIONS**-0.5] * DIMENSIONS
    vector = base64.b64encode(array("f", floats).tobytes()).decode() if as_base64 else floats
    data = [{"index": i, "object": "embedding", "embedding": vector} for i in range(count)]
    usage = {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens,
        "completion_tokens": 0,
    }
    shared = {"id": f"embd-{name}", "object": "list", "created": int(time.time()), "model": model}
    return {**shared, "data": data, "usage": usage}


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


CHAT_LIMITS = ("max_completion_tokens", "max_tokens")
ROUTES = {
    "/v1/chat/completions": Route(CHAT_LIMITS, _chat, _chat_events),
    "/v1/completions": Route(("max_tokens",), _completion, _completion_events),
    "/v1/responses": Route(("max_output_tokens",), _response, _response_events),
}
