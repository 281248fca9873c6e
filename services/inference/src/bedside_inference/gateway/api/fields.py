"""What a request may ask of the engine: fields that are not declared here do not pass.

Covered: vLLM's own fields (its scheduling, caching, templates, token-level and media input), media
in messages, stored conversations, unbounded numbers of answers, size and depth of JSON schemas.
Not covered: what the text of a prompt asks for, and what a schema within the bounds costs (vLLM
bounds its compilation).

Names and limits: OpenAI's API reference for chat completions, completions, embeddings and
responses.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, StringConstraints
from pydantic import Tag as Branch

MAX_ANSWERS = 8
"""Of `n` times the number of prompts; each is a generation of its own."""

MAX_INPUTS = 1024
"""Texts of one embeddings request."""

MAX_MESSAGES = 2048
"""Of a conversation: checking more would hold up everybody else."""

MAX_PARTS = 64
"""Of one message."""

MAX_STOPS = 4
MAX_TOOLS = 128
MAX_TOP_LOGPROBS = 20
MAX_SCHEMA_BYTES = 32 * 1024
MAX_SCHEMA_DEPTH = 32
"""Objects and arrays within one another; OpenAI allows 10 levels of a schema, vLLM 64."""

MAX_PATTERN = 256
"""Characters of a regular expression within a schema."""

INT32, INT64 = 1 << 31, 1 << 63


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    """Let a JSON schema pass that is small, flat, and refers to nothing but itself."""
    _walk(schema, MAX_SCHEMA_DEPTH)
    if len(json.dumps(schema)) > MAX_SCHEMA_BYTES:
        raise ValueError("too large")
    return schema


def _walk(value: Any, depth: int) -> None:
    if not isinstance(value, dict | list):
        return
    if depth == 0:
        raise ValueError("too deep")
    for inner in value.values() if isinstance(value, dict) else value:
        _walk(inner, depth - 1)
    if isinstance(value, dict):
        reference, pattern = value.get("$ref", "#"), value.get("pattern", "")
        if isinstance(reference, str) and not reference.startswith("#"):
            raise ValueError("refers to something else")
        if isinstance(pattern, str) and len(pattern) > MAX_PATTERN:
            raise ValueError("too long a pattern")


Probability = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=0, le=2)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Count = Annotated[int, Field(ge=1, lt=INT32)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Schema = Annotated[dict[str, Any], AfterValidator(_bounded)]
Nothing = Annotated[list[Any], Field(max_length=0)] | None
"""What answers carry and requests may bring back, but only empty."""


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
    content: str | Annotated[list[TextPart], Field(max_length=MAX_PARTS, fail_fast=True)] | None = (
        None
    )
    name: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
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
    parameters: Schema | None = None
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
    schema_: Annotated[Schema, Field(alias="schema")]
    strict: bool | None = None


class FreeFormat(Part):
    """Free text, or any JSON object."""

    type: Literal["text", "json_object"]


class SchemaFormat(Part):
    """JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[FreeFormat | SchemaFormat, Field(discriminator="type")]


class StreamOptions(Part):
    """What a stream has besides text."""

    include_usage: bool | None = None


class ApiRequest(Part):
    """What all routes take."""

    IGNORED: ClassVar[frozenset[str]] = frozenset({"user"})
    """Fields of OpenAI's own service: accepted, because clients send them, and not passed on,
    because they mean nothing here and may name a person."""

    FIXED: ClassVar[dict[str, Any]] = {}
    """Fields that always have our value."""

    MAX_ANSWERS: ClassVar[int] = MAX_ANSWERS

    model: str
    user: str | None = None

    @property
    def answers(self) -> int:
        """How many generations or embeddings it asks for."""
        return 1

    @property
    def limit(self) -> int | None:
        """Tokens that one answer may have at most; None: as many as the model's window takes."""
        raise NotImplementedError

    @property
    def choices(self) -> dict[str, str | None]:
        """What it chose from closed lists; no text."""
        return {}


class GenerationRequest(ApiRequest):
    """What the routes that generate text take."""

    IGNORED: ClassVar = ApiRequest.IGNORED | {
        *("metadata", "store", "safety_identifier", "prompt_cache_key", "service_tier"),
    }

    stream: bool | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None


class SampledRequest(GenerationRequest):
    """What chat completions and completions take."""

    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    n: Annotated[int, Field(ge=1, le=MAX_ANSWERS)] | None = None
    seed: Annotated[int, Field(ge=-INT64, lt=INT64)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None

    @property
    def answers(self) -> int:
        return self.n or 1


class ChatRequest(SampledRequest):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None

    @property
    def limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def choices(self) -> dict[str, str | None]:
        return {
            "response_format": self.response_format.type if self.response_format else None,
            "tool_choice": _chosen(self.tool_choice),
        }


class CompletionRequest(SampledRequest):
    """`POST /v1/completions`."""

    DEFAULT_LIMIT: ClassVar = 16

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=MAX_ANSWERS, fail_fast=True)]
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None

    @property
    def answers(self) -> int:
        return super().answers * (1 if isinstance(self.prompt, str) else len(self.prompt))

    @property
    def limit(self) -> int | None:
        return self.max_tokens or self.DEFAULT_LIMIT


class EmbeddingRequest(ApiRequest):
    """`POST /v1/embeddings`; texts alone, because tokens could be of any model."""

    MAX_ANSWERS: ClassVar = MAX_INPUTS

    input: str | Annotated[list[str], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Count | None = None

    @property
    def answers(self) -> int:
        return 1 if isinstance(self.input, str) else len(self.input)

    @property
    def limit(self) -> int | None:
        return 0

    @property
    def choices(self) -> dict[str, str | None]:
        return {"encoding_format": self.encoding_format}


class InputText(Part):
    """The only kind of content that goes in."""

    type: Literal["input_text"]
    text: str


class OutputText(Part):
    """What the model said earlier."""

    type: Literal["output_text"]
    text: str
    annotations: Nothing = None
    logprobs: Nothing = None


class Item(Part):
    """What every item of a response's input may have.

    An unfinished one is refused: vLLM would have the model write on from it, in its own name.
    """

    id: str | None = None
    status: Literal["completed"] | None = None


class AskedMessage(Item):
    """A message to the model."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user"]
    content: (
        str | Annotated[list[InputText], Field(min_length=1, max_length=MAX_PARTS, fail_fast=True)]
    )


class SaidMessage(Item):
    """A message of the model's; vLLM reads no more than one part of it."""

    type: Literal["message"] = "message"
    role: Literal["assistant"]
    content: str | Annotated[list[OutputText], Field(min_length=1, max_length=1)]
    phase: None = None


class FunctionCall(Item):
    """A call that the model made earlier."""

    type: Literal["function_call"]
    call_id: str
    name: Name
    arguments: str
    namespace: None = None
    caller: None = None
    async_: Annotated[None, Field(alias="async")] = None


class FunctionCallOutput(Item):
    """What a called function gave."""

    type: Literal["function_call_output"]
    call_id: str
    output: str


class ReasoningText(Part):
    """A thought, or the summary of one."""

    type: Literal["reasoning_text", "summary_text"]
    text: str


class Reasoning(Item):
    """What the model thought earlier; vLLM reads no more than one part of it."""

    type: Literal["reasoning"]
    summary: Annotated[list[ReasoningText], Field(max_length=1)]
    content: Annotated[list[ReasoningText], Field(max_length=1)] | None = None
    encrypted_content: None = None


def _kind(item: Any) -> str | None:
    """Which of the items it means to be; the `type` of a message may be left out."""
    if not isinstance(item, dict):
        return None
    kind = item.get("type", "message")
    if kind == "message":
        return "said" if item.get("role") == "assistant" else "asked"
    return kind if isinstance(kind, str) else None


InputItem = Annotated[
    Annotated[AskedMessage, Branch("asked")]
    | Annotated[SaidMessage, Branch("said")]
    | Annotated[FunctionCall, Branch("function_call")]
    | Annotated[FunctionCallOutput, Branch("function_call_output")]
    | Annotated[Reasoning, Branch("reasoning")],
    Discriminator(_kind),
]


class FlatTool(FunctionDefinition):
    """A function, as responses declare it."""

    type: Literal["function"]


class FlatToolChoice(NamedFunction):
    """A forced call, as responses declare it."""

    type: Literal["function"]


class FlatSchemaFormat(JsonSchema):
    """JSON of a schema, as responses declare it."""

    type: Literal["json_schema"]


class TextOptions(Part):
    """What form the text of a response has."""

    format: Annotated[FreeFormat | FlatSchemaFormat, Field(discriminator="type")] | None = None


class ReasoningOptions(Part):
    """How much the model thinks."""

    effort: Literal["none", "minimal", "low", "medium", "high"] | None = None


class ResponsesRequest(GenerationRequest):
    """`POST /v1/responses`; nothing is stored, so the whole conversation comes each time."""

    FIXED: ClassVar = {"store": False}

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
    def limit(self) -> int | None:
        return self.max_output_tokens

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

VENDOR_FIELDS = frozenset(
    {
        *(
            "add_generation_prompt",
            "add_special_tokens",
            "allowed_token_ids",
            "audio",
            "background",
        ),
        *("bad_words", "best_of", "cache_salt", "chat_template", "chat_template_kwargs"),
        *("continue_final_message", "conversation", "documents", "echo", "ec_transfer_params"),
        *("embed_dtype", "enable_response_messages", "endianness", "function_call", "functions"),
        *("guided_choice", "guided_grammar", "guided_json", "guided_regex", "ignore_eos"),
        *("include", "include_reasoning", "include_stop_str_in_output", "kv_transfer_params"),
        *("length_penalty", "logit_bias", "logits_processors", "logprob_token_ids"),
        *("max_tool_calls", "media_io_kwargs", "min_p", "min_tokens", "mm_payload"),
        *("mm_processor_kwargs", "modalities", "padding", "prediction", "previous_input_messages"),
        *("previous_response_id", "priority", "prompt_embeds", "prompt_logprobs"),
        *("reasoning_effort", "repetition_detection", "repetition_penalty", "request_id"),
        *("return_mm_kwargs", "return_prompt_text", "return_token_ids", "return_token_offsets"),
        *(
            "return_tokens_as_token_ids",
            "routed_experts_prompt_start",
            "session_id",
            "skip_special_tokens",
        ),
        *("spaces_between_special_tokens", "stop_token_ids", "stream_interval"),
        *("structured_outputs", "suffix", "thinking_token_budget", "top_k"),
        *("truncate_prompt_tokens", "truncation_side", "use_activation", "use_beam_search"),
        *("verbosity", "vllm_xargs", "watermarking", "web_search_options"),
    }
)
"""Names that no route takes: vLLM's own and those of OpenAI's that mean nothing here."""

KNOWN_FIELDS = VENDOR_FIELDS.union(*(request.model_fields for request in REQUESTS.values()))
"""An error may repeat these names; any other could be a part of a text."""
