"""What was said before: the messages of a conversation and the items of a response's input.

What the model said and what tools gave is the past, and clients add to it what they like: their
undeclared members are dropped. What the house and the person say is a request, and closed.

Tested in tests/inference/gateway/api/test_history.py.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AliasChoices,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic import Tag as Branch

from bedside_inference.gateway.api.parts import MAX_PARTS, MAX_TOOLS, Part, TextPart

UNKNOWN_ITEM = "unknown_item"
"""Type of the error for an item of another kind."""

CalledName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""A model may have called what was never declared."""


class Past(Part):
    """A description of the past; only what is declared passes on."""

    model_config = ConfigDict(extra="ignore")


class SaidText(Past):
    """A piece of what the model or a tool said."""

    type: Literal["text"]
    text: str


class SaidRefusal(Past):
    """The model's word that it would not answer."""

    type: Literal["refusal"]
    refusal: str


class CalledFunction(Past):
    """A call that the model made earlier in the conversation."""

    name: CalledName
    arguments: str


class ToolCall(Past):
    """One tool call of an assistant's message."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class AskingMessage(Part):
    """A message to the model; what only answers have may come empty, as generated clients do."""

    NEUTRAL: ClassVar = {"annotations": ([],), "refusal": ("",), "tool_calls": ([],)}

    role: Literal["system", "developer", "user"]
    content: str | Annotated[list[TextPart], Field(max_length=MAX_PARTS, fail_fast=True)] | None = (
        None
    )
    name: str | None = None


SaidPart = Annotated[SaidText | SaidRefusal, Field(discriminator="type")]


class AssistantMessage(Past):
    """What the model said, with what it called; audio and the calls of old are no text."""

    NEUTRAL: ClassVar = {"tool_calls": ([],)}

    role: Literal["assistant"]
    content: str | Annotated[list[SaidPart], Field(max_length=MAX_PARTS, fail_fast=True)] | None = (
        None
    )
    name: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    refusal: str | None = None
    audio: None = None
    function_call: None = None
    reasoning: Annotated[
        str | None, Field(validation_alias=AliasChoices("reasoning", "reasoning_content"))
    ] = None


class ToolMessage(Past):
    """What a called function gave."""

    role: Literal["tool"]
    content: str | Annotated[list[SaidText], Field(max_length=MAX_PARTS, fail_fast=True)] | None = (
        None
    )
    name: str | None = None
    tool_call_id: str | None = None


Message = Annotated[AskingMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class InputText(Part):
    """The only kind of content that goes in."""

    type: Literal["input_text"]
    text: str


class OutputText(Past):
    """What the model said earlier."""

    type: Literal["output_text"]
    text: str


class Item(Past):
    """What every item of a response's input may have.

    An unfinished one is refused: vLLM would have the model write on from it, in its own name.
    """

    id: str | None = None
    status: Literal["completed"] | None = None


class AskedMessage(Item):
    """A message to the model."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["message"] | None = "message"
    role: Literal["system", "developer", "user"]
    content: (
        str | Annotated[list[InputText], Field(min_length=1, max_length=MAX_PARTS, fail_fast=True)]
    )


class SaidMessage(Item):
    """A message of the model's; vLLM reads no more than one part of it."""

    type: Literal["message"] | None = "message"
    role: Literal["assistant"]
    content: str | Annotated[list[OutputText], Field(min_length=1, max_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _with_its_type(cls, given: Any) -> Any:
        """VLLM reads parts of one only where it names its type."""
        return {**given, "type": "message"} if isinstance(given, dict) else given


class FunctionCall(Item):
    """A call that the model made earlier."""

    type: Literal["function_call"]
    call_id: str
    name: CalledName
    arguments: str
    namespace: None = None
    caller: None = None
    async_: Annotated[None, Field(alias="async")] = None


class FunctionCallOutput(Item):
    """What a called function gave."""

    type: Literal["function_call_output"]
    call_id: str
    output: str


class ReasoningText(Past):
    """A thought, or the summary of one."""

    type: Literal["reasoning_text", "summary_text"]
    text: str


class Reasoning(Item):
    """What the model thought earlier; vLLM reads no more than one part of it."""

    type: Literal["reasoning"]
    status: Annotated[str | None, Field(exclude=True)] = None  # type: ignore[assignment]
    """Not passed on: who puts a stream together keeps the one that it began with."""
    summary: Annotated[list[ReasoningText], Field(max_length=1)]
    content: Annotated[list[ReasoningText], Field(max_length=1)] | None = None
    encrypted_content: None = None


def _kind(item: Any) -> str | None:
    """Which of the items it means to be, in a form that is no name of a member.

    The `type` of a message may be left out.
    """
    if not isinstance(item, dict):
        return None
    kind = item.get("type")
    if kind is None or kind == "message":
        kind = "said" if item.get("role") == "assistant" else "asked"
    return f"({kind})" if isinstance(kind, str) else None


InputItem = Annotated[
    Annotated[AskedMessage, Branch("(asked)")]
    | Annotated[SaidMessage, Branch("(said)")]
    | Annotated[FunctionCall, Branch("(function_call)")]
    | Annotated[FunctionCallOutput, Branch("(function_call_output)")]
    | Annotated[Reasoning, Branch("(reasoning)")],
    Discriminator(_kind, custom_error_type=UNKNOWN_ITEM, custom_error_message="is not taken"),
]
