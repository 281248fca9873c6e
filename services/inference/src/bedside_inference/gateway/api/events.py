"""What the gateway must see in a stream of server-sent events that it passes on unchanged.

Unchanged but for the few of `/v1/responses` that repeat a response, an item or a part (`answers`),
and for the `system_fingerprint` of the others, which vLLM writes into their last event at most.

Bytes are searched, not parsed: inside a JSON string a quote is escaped, so `"usage":{` can only be
the member of that name, whatever the texts say. What must be parsed is parsed without the cache of
strings that pydantic keeps for a whole process: it would hold pieces of answers.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import from_json, to_json

from bedside_inference.gateway.api.answers import (
    FINGERPRINT,
    FINGERPRINTED,
    RESPONSES,
    conforming,
    conforming_event,
)
from bedside_inference.gateway.errors import engine_failed

MAX_EVENT_BYTES = 8 << 20
"""Of one event: the longest is the whole answer that ends a stream of `/v1/responses`."""

MAX_CONFORMING_BYTES = 1 << 20
"""Of an answer in one piece that is brought into the published form; above, it has thousands of
log-probabilities and passes as the engine wrote it."""
TAIL_BYTES = 1 << 12
"""Where an answer in one piece has its counts, behind all that is long."""
EMBEDDINGS = "/v1/embeddings"

END = b"\n\n"
DONE = b"data: [DONE]\n\n"
"""The last event of a stream, but for those of `/v1/responses`."""
STARTS = (b"data:", b"event:", b":")
USAGE = b'"usage":{'
REPEATED = re.compile(rb'"(?:response|item|part)":\s*\{')
"""Begins, in an event of `/v1/responses`, what others have told in pieces."""
BEGINS = b"\ndata: {"
"""With the line's end before it, since no text within a JSON string has one as it is."""
MARK = b'"%s":' % FINGERPRINT.encode()
MARKED = re.compile(rb',\s*%s\s*(?:null|"[^"]*")|%s\s*(?:null|"[^"]*"),' % (MARK, MARK))
ERROR = re.compile(rb'"error":\s*\{')
"""vLLM writes its own errors with a space."""
FINISH = re.compile(rb'"finish_reason":\s*"([^"]*)"')
NUMBERS = re.compile(rb'"usage":\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})')
"""The counts of an answer in one piece, with the objects in them."""
REASONS = frozenset(
    {
        *("stop", "length", "tool_calls", "function_call", "content_filter"),
        *("abort", "error", "repetition"),
        *("completed", "incomplete", "failed", "cancelled", "in_progress", "queued"),
    }
)
"""OpenAI's, vLLM's, and the states of a response; any other is recorded as `other`."""


class Usage:
    """What an answer says of itself besides its text."""

    __slots__ = ("completion_tokens", "finish_reason", "prompt_tokens")

    def __init__(self) -> None:
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.finish_reason: str | None = None

    def read(self, usage: object) -> None:
        """Take the counts from a `usage` object, in the words of either API."""
        if isinstance(usage, dict):
            self.prompt_tokens = _count(usage, "prompt_tokens", "input_tokens")
            self.completion_tokens = _count(usage, "completion_tokens", "output_tokens") or 0

    def read_answer(self, answer: dict[str, Any]) -> None:
        """Take counts and reason from an answer that came in one piece."""
        self.read(answer.get("usage"))
        match answer:
            case {"choices": [{"finish_reason": str(reason)}, *_]} | {"status": str(reason)}:
                self.finish_reason = _reason(reason)


class Events:
    """Whole events out of bytes as they come, without the one that the client did not ask for."""

    def __init__(self, path: str, usage: Usage, model: str, *, keep_usage: bool) -> None:
        """`model`: digest of the one that answers, for the events that say so."""
        self.usage, self.keep_usage = usage, keep_usage
        self._mark = MARK + to_json(model) + b"," if path in FINGERPRINTED else b""
        self._repeats = path == RESPONSES
        self.count = 0
        """Events so far; about one per token."""
        self.tail = b""
        """The beginning of an event whose end has not come."""
        self.done = False
        """`[DONE]` was the last event so far; whatever the engine does now, the answer is whole."""

    def feed(self, chunk: bytes) -> bytes:
        """What of these bytes is to be passed on now.

        Raises:
            ApiError: the engine reports an error, or these are no events.
        """
        if self.tail:
            chunk = self.tail + chunk
            self.tail = b""
        if not chunk.endswith(END):
            whole, end, self.tail = chunk.rpartition(END)
            if len(self.tail) > MAX_EVENT_BYTES:
                raise engine_failed()
            chunk = whole + end
            if not chunk:
                return b""
        if not chunk.startswith(STARTS):
            raise engine_failed()
        self.count += chunk.count(END)
        self.done = chunk.endswith(DONE)
        if b'"error"' in chunk and ERROR.search(chunk):
            self._refuse_error(chunk)
        if b'"finish_reason":"' in chunk and (found := FINISH.search(chunk)):
            self.usage.finish_reason = _reason(found[1].decode(errors="replace"))
        return self._marked(self._passing(chunk))

    def close(self) -> None:
        """It has ended, or its client has left; what the engine did not count is guessed."""
        if self.usage.completion_tokens is None:
            self.usage.completion_tokens = self.count

    def _refuse_error(self, chunk: bytes) -> None:
        for event in chunk.split(END):
            if ERROR.search(event) and isinstance(_answer_in(_members(event)).get("error"), dict):
                raise engine_failed()  # its words may quote the request

    def _passing(self, chunk: bytes) -> bytes:
        repeats = self._repeats and REPEATED.search(chunk) is not None
        if not repeats and USAGE not in chunk:
            return chunk
        kept = []
        for event in chunk.split(END):
            if USAGE in event:
                said = _members(event)
                self.usage.read(_answer_in(said).get("usage"))
                if not self.keep_usage and said.get("choices") == []:
                    continue
            kept.append(_conforming(event) if repeats and REPEATED.search(event) else event)
        return END.join(kept)

    def _marked(self, chunk: bytes) -> bytes:
        if not self._mark:
            return chunk
        if MARK in chunk:
            chunk = MARKED.sub(b"", chunk)
        return (b"\n" + chunk).replace(BEGINS, BEGINS + self._mark)[1:]


def _members(event: bytes) -> dict[str, Any]:
    """The JSON object in an event.

    Raises:
        ApiError: there is none.
    """
    data = b"".join(line[5:] for line in event.split(b"\n") if line.startswith(b"data:"))
    try:
        members = from_json(data, cache_strings="keys")
    except ValueError:
        members = None
    if not isinstance(members, dict):
        raise engine_failed()
    return members


def _conforming(event: bytes) -> bytes:
    lines = [line for line in event.split(b"\n") if not line.startswith(b"data:")]
    return b"\n".join([*lines, b"data: " + conforming_event(_members(event))])


def _answer_in(said: dict[str, Any]) -> dict[str, Any]:
    """The last event of `/v1/responses` holds the whole answer, or why there is none."""
    inner = said.get("response")
    return inner if isinstance(inner, dict) else said


def whole_answer(path: str, body: bytes, usage: Usage, model: str) -> bytes:
    """What a client gets of an answer that came in one piece.

    Numbers by the thousand are not looked at: embeddings, and what is longer than any text, are
    passed on as they are.

    Args:
        path: the route.
        body: the engine's bytes.
        usage: takes what it says of itself.
        model: digest of the one that gave it.

    Raises:
        ApiError: it is no JSON object, or an error in the guise of an answer.
    """
    if path != EMBEDDINGS and len(body) <= MAX_CONFORMING_BYTES:
        answer = _answer(body)
        usage.read_answer(answer)
        return conforming(path, body, answer, model)
    tail = body[-TAIL_BYTES:]
    found = [*NUMBERS.finditer(tail)]
    if found and body.startswith(b"{") and tail.rstrip().endswith(b"}"):
        usage.read(_answer(found[-1][1]))
        if reasons := FINISH.findall(tail):
            usage.finish_reason = _reason(reasons[-1].decode(errors="replace"))
    else:
        usage.read_answer(_answer(body))
    if path not in FINGERPRINTED:
        return body
    return b"{%b%b,%b%b" % (MARK, to_json(model), body[1 : -len(tail)], MARKED.sub(b"", tail))


def _answer(body: bytes) -> dict[str, Any]:
    try:
        answer = from_json(body, cache_strings="keys")
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or isinstance(answer.get("error"), dict):
        raise engine_failed()
    return answer


def _reason(said: str) -> str:
    return said if said in REASONS else "other"


def _count(usage: dict[str, Any], *names: str) -> int | None:
    for name in names:
        if isinstance(usage.get(name), int):
            return int(usage[name])
    return None
