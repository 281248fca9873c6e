"""What a request may ask of the engine: fields that are not declared here do not pass.

Covered: vLLM's own fields (its scheduling, caching, templates, token-level and media input), media
in messages, unbounded numbers of answers.
Not covered: what the text of a prompt asks for, and the cost of a JSON schema (vLLM bounds its
compilation).

Names and limits: OpenAI's API reference for chat completions and completions.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_ANSWERS = 8
"""Of `n` and of the list of prompts; each is a generation of its own."""

MAX_STOPS = 4
MAX_TOOLS = 128
MAX_TOP_LOGPROBS = 20

Probability = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Part(BaseModel):
    """A part of a request: nothing undeclared, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TextPart(Part):
    """The only kind of content; images, audio and files are refused."""

    type: Literal["text"]
    text: str


class CalledFunction(Part):
    """A call that the model made earlier in the conversation."""

    name: Name
    arguments: str


class ToolCall(Part):
    """One tool call of an assistant's message."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class Message(Part):
    """One message; what only answers carry may come back as null."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    annotations: None = None
    audio: None = None
    function_call: None = None
    reasoning: str | None = None


class FunctionDefinition(Part):
    """A function that the model may call; its parameters are a JSON schema."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Part):
    """A tool is a function; nothing is executed here."""

    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(Part):
    """Which function must be called."""

    name: Name


class ToolChoice(Part):
    """A forced call."""

    type: Literal["function"]
    function: NamedFunction


class JsonSchema(Part):
    """The schema that an answer must follow."""

    name: Name
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(Part):
    """Free text, any JSON, or JSON of a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Part):
    """What a stream has besides text."""

    include_usage: bool | None = None


class GenerationRequest(Part):
    """What both routes take."""

    IGNORED: ClassVar = frozenset(
        {"user", "metadata", "store", "safety_identifier", "prompt_cache_key", "service_tier"}
    )
    """Fields of OpenAI's own service: accepted, because clients send them, and not passed on,
    because they mean nothing here and may name a person."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Probability | None = None
    n: Annotated[int, Field(ge=1, le=MAX_ANSWERS)] | None = None
    seed: int | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None


class ChatRequest(GenerationRequest):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None


class CompletionRequest(GenerationRequest):
    """`POST /v1/completions`."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=MAX_ANSWERS)]
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None


REQUESTS: dict[str, type[GenerationRequest]] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/completions": CompletionRequest,
}

VENDOR_FIELDS = frozenset(
    {
        *("cache_salt", "priority", "request_id", "session_id", "chat_template", "echo", "best_of"),
        *("chat_template_kwargs", "mm_processor_kwargs", "media_io_kwargs", "add_special_tokens"),
        *("kv_transfer_params", "ec_transfer_params", "vllm_xargs", "prompt_logprobs", "suffix"),
        *("return_token_ids", "documents", "allowed_token_ids", "logit_bias", "ignore_eos"),
        *(
            "min_tokens",
            "structured_outputs",
            "use_beam_search",
            "stop_token_ids",
            "top_k",
            "min_p",
        ),
        *("repetition_penalty", "truncate_prompt_tokens", "skip_special_tokens", "guided_regex"),
        *("guided_json", "guided_choice", "guided_grammar", "functions", "function_call", "audio"),
        *("modalities", "prediction", "web_search_options", "reasoning_effort", "verbosity"),
        *("length_penalty", "bad_words", "logits_processors", "include_reasoning", "prompt_embeds"),
    }
)
"""Known names that do not pass; an error may repeat these, any other could be a part of a text."""
