"""What a request may ask of the engine: fields that are not declared here do not pass.

Covered: vLLM's own fields (its scheduling, caching, templates, token-level and media input), media
in messages, stored conversations, unbounded numbers of answers, size and depth of JSON schemas.
Not covered: what the text of a prompt asks for, and what a schema within the bounds costs (vLLM
bounds its compilation).

Every field that OpenAI publishes for these routes, and every one of vLLM's, is declared here, taken
and not passed on (`IGNORED`), or refused by name (`names`); tests hold that against both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from bedside_inference.gateway.api.history import InputItem, Message
from bedside_inference.gateway.api.names import HINTS, MEMBERS, NEUTRAL, VENDOR_FIELDS
from bedside_inference.gateway.api.parts import (
    INT32,
    INT64,
    MAX_STOPS,
    MAX_TOOLS,
    Count,
    Effort,
    FlatTool,
    FlatToolChoice,
    Part,
    Penalty,
    Probability,
    ReasoningOptions,
    ResponseFormat,
    Stop,
    StreamOptions,
    Temperature,
    TextOptions,
    Tool,
    ToolChoice,
    members,
)

MAX_ANSWERS = 8
"""Of `n` times the number of prompts; each is a generation of its own."""

MAX_INPUTS = 1024
"""Texts of one embeddings request."""

MAX_MESSAGES = 2048
"""Of a conversation: checking more would hold up everybody else."""

MAX_TOP_LOGPROBS = 20

OneStop = Annotated[str, StringConstraints(max_length=256)]
"""Alone, it may be empty, which is the same as none."""


class ApiRequest(Part):
    """What all routes take."""

    NEUTRAL: ClassVar = NEUTRAL

    IGNORED: ClassVar[frozenset[str]] = frozenset({"user"})
    """Fields of OpenAI's own service: accepted, because clients send them, and not passed on,
    because they mean nothing here and may name a person."""

    FIXED: ClassVar[dict[str, Any]] = {}
    """Fields that always have our value."""

    LIMITS: ClassVar[tuple[str, ...]] = ()
    """Fields that bound one answer's tokens; the first that is given counts."""

    DEFAULT_LIMIT: ClassVar[int | None] = None
    """Without any of them; none: as many as the model's window takes."""

    MAX_ANSWERS: ClassVar[int] = MAX_ANSWERS

    model: str
    user: str | None = None

    @property
    def answers(self) -> int:
        """How many generations or embeddings it asks for."""
        return 1

    @property
    def limit_field(self) -> str | None:
        """The field that bounds an answer."""
        return next((name for name in self.LIMITS if getattr(self, name) is not None), None)

    @property
    def limit(self) -> int | None:
        """Tokens that one answer may have at most; none: as many as the model's window takes."""
        name = self.limit_field
        return getattr(self, name) if name else self.DEFAULT_LIMIT

    @property
    def choices(self) -> dict[str, str | None]:
        """What it chose from closed lists; no text."""
        return {}

    def passed(self) -> dict[str, Any]:
        """What the engine gets of it; made of what was checked, never of what came."""
        return self.model_dump(
            exclude_unset=True, exclude_none=True, by_alias=True, exclude=set(self.IGNORED)
        )


class GenerationRequest(ApiRequest):
    """What the routes that generate text take."""

    IGNORED: ClassVar = ApiRequest.IGNORED | {
        *("metadata", "store", "safety_identifier", "service_tier"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
    }

    stream: bool | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None

    @property
    def chosen_tool(self) -> str | None:
        """Whether the model may call a tool: none if there is none, or if it must not."""
        tools, choice = getattr(self, "tools", None), getattr(self, "tool_choice", None)
        return _chosen(choice or "auto") if tools and choice != "none" else None

    def passed(self) -> dict[str, Any]:
        passed = super().passed()
        if "tools" not in passed and passed.get("tool_choice") in ("none", "auto"):
            del passed["tool_choice"]  # vLLM refuses a choice among none
        return passed


class SampledRequest(GenerationRequest):
    """What chat completions and completions take."""

    LIMITS: ClassVar[tuple[str, ...]] = ("max_tokens",)

    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    n: Annotated[int, Field(ge=1, le=MAX_ANSWERS)] | None = None
    seed: Annotated[int, Field(ge=-INT64, lt=INT64)] | None = None
    stop: OneStop | Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    top_k: Annotated[int, Field(ge=-1, lt=INT32)] | None = None
    min_p: Probability | None = None

    @property
    def answers(self) -> int:
        return self.n or 1


class ChatRequest(SampledRequest):
    """`POST /v1/chat/completions`."""

    LIMITS: ClassVar = ("max_completion_tokens", "max_tokens")

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Effort | None = None

    @property
    def choices(self) -> dict[str, str | None]:
        return {
            "response_format": self.response_format.type if self.response_format else None,
            "tool_choice": _chosen(self.tool_choice),
            "reasoning_effort": self.reasoning_effort,
        }


class CompletionRequest(SampledRequest):
    """`POST /v1/completions`."""

    DEFAULT_LIMIT: ClassVar = 16

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=MAX_ANSWERS, fail_fast=True)]
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None

    @property
    def answers(self) -> int:
        return super().answers * (1 if isinstance(self.prompt, str) else len(self.prompt))


class EmbeddingRequest(ApiRequest):
    """`POST /v1/embeddings`; texts alone, because tokens could be of any model."""

    MAX_ANSWERS: ClassVar = MAX_INPUTS
    DEFAULT_LIMIT: ClassVar = 0

    input: str | Annotated[list[str], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Count | None = None

    @property
    def answers(self) -> int:
        return 1 if isinstance(self.input, str) else len(self.input)

    @property
    def choices(self) -> dict[str, str | None]:
        return {"encoding_format": self.encoding_format}


class ResponsesRequest(GenerationRequest):
    """`POST /v1/responses`; nothing is stored, so the whole conversation comes each time."""

    NEUTRAL: ClassVar = {**NEUTRAL, "stream_options": ({}, {"include_obfuscation": False})}
    FIXED: ClassVar = {"store": False}
    LIMITS: ClassVar = ("max_output_tokens",)

    input: (
        str
        | Annotated[list[InputItem], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
    )
    instructions: str | None = None
    max_output_tokens: Count | None = None
    text: TextOptions | None = None
    tools: Annotated[list[FlatTool], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    tool_choice: Literal["none", "auto", "required"] | FlatToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningOptions | None = None
    truncation: Literal["disabled"] | None = None

    @property
    def choices(self) -> dict[str, str | None]:
        form = self.text.format if self.text else None
        return {
            "text": form.type if form else None,
            "tool_choice": _chosen(self.tool_choice),
            "reasoning": self.reasoning.effort if self.reasoning else None,
        }


def _chosen(choice: str | ToolChoice | FlatToolChoice | None) -> str | None:
    return choice if isinstance(choice, str | None) else choice.type


REQUESTS: dict[str, type[ApiRequest]] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/completions": CompletionRequest,
    "/v1/embeddings": EmbeddingRequest,
    "/v1/responses": ResponsesRequest,
}

KNOWN_FIELDS = VENDOR_FIELDS.union(*(request.model_fields for request in REQUESTS.values()))
"""Of a request: an error may repeat these names; any other could be a part of a text."""


def parts(part: type[Part] = Part) -> Iterator[type[Part]]:
    """Every part of a request, requests included."""
    yield part
    for inner in part.__subclasses__():
        yield from parts(inner)


KNOWN_NAMES = KNOWN_FIELDS | MEMBERS | HINTS | {name for part in parts() for name in members(part)}
"""The same for names within fields."""
