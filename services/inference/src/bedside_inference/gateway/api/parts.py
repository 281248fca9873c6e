"""What the parts of a request have in common, and the parts that set something.

Settings are closed: a member that is not declared is refused, because a caller who set it and got
an answer would believe that it was obeyed. What describes the past is open (`history`).

Null is the same as leaving out in every position but within a JSON schema; so is a neutral value.

Names and limits: OpenAI's API reference for chat completions, completions, embeddings and
responses.

Tested in tests/inference/gateway/api/test_fields.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bedside_inference.gateway.api.names import HINTS, asks_nothing

MAX_PARTS = 64
"""Of one message."""

MAX_STOPS = 4
MAX_TOOLS = 128
MAX_SCHEMA_BYTES = 32 * 1024
MAX_SCHEMA_DEPTH = 32
"""Objects and arrays within one another; OpenAI allows 10 levels of a schema, vLLM 64."""

MAX_PATTERN = 256
"""Characters of a regular expression within a schema."""

INT32, INT64 = 1 << 31, 1 << 63

UNDECLARED = "undeclared"
"""Type of the error for a member that is not taken."""


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    """Let a JSON schema pass that is small, flat, and refers to nothing but itself."""
    _walk(schema, MAX_SCHEMA_DEPTH)
    if len(json.dumps(schema)) > MAX_SCHEMA_BYTES:
        raise ValueError(f"of at most {MAX_SCHEMA_BYTES} bytes")
    return schema


def _walk(value: Any, depth: int) -> None:
    if not isinstance(value, dict | list):
        return
    if depth == 0:
        raise ValueError(f"of at most {MAX_SCHEMA_DEPTH} levels")
    for inner in value.values() if isinstance(value, dict) else value:
        _walk(inner, depth - 1)
    if isinstance(value, dict):
        reference, pattern = value.get("$ref", "#"), value.get("pattern", "")
        if isinstance(reference, str) and not reference.startswith("#"):
            raise ValueError("whose $ref lead to itself alone")
        if isinstance(pattern, str) and len(pattern) > MAX_PATTERN:
            raise ValueError(f"whose patterns have at most {MAX_PATTERN} characters")


Probability = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=0, le=2)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Count = Annotated[int, Field(ge=1, lt=INT32)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Schema = Annotated[dict[str, Any], AfterValidator(_bounded)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""All that vLLM 0.32 and OpenAI know; which of them a model tells apart is its own affair."""


class Part(BaseModel):
    """A part of a request: nothing undeclared, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    NEUTRAL: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Member -> values of it that are the same as leaving it out."""

    @model_validator(mode="before")
    @classmethod
    def _without_what_asks_nothing(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        kept = {
            name: value
            for name, value in given.items()
            if value is not None
            and name not in HINTS
            and not (name in cls.NEUTRAL and asks_nothing(value, cls.NEUTRAL[name]))
        }
        if cls.model_config["extra"] == "forbid":
            for name in kept:
                if name not in members(cls):
                    place, taken = [*given].index(name) + 1, ", ".join(sorted(members(cls)))
                    about = {"name": name, "place": place, "of": len(given), "taken": taken}
                    raise PydanticCustomError(UNDECLARED, "is not taken", about)
        return kept


@cache
def members(part: type[BaseModel]) -> tuple[str, ...]:
    """The names that it declares, as they stand in JSON."""
    return tuple(field.alias or name for name, field in part.model_fields.items())


class TextPart(Part):
    """The only kind of content; images, audio and files are refused."""

    type: Literal["text"]
    text: str


class FunctionDefinition(Part):
    """A function that the model may call; its parameters are a JSON schema."""

    name: Name
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class ChatFunction(FunctionDefinition):
    """A function, as chat completions declare it; some clients repeat the type of the tool."""

    NEUTRAL: ClassVar = {"type": ("function",)}


class Tool(Part):
    """A tool is a function; nothing is executed here."""

    type: Literal["function"]
    function: ChatFunction


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
    """What a stream has besides text; it is not padded against who counts bytes on the wire."""

    NEUTRAL: ClassVar = {"include_obfuscation": (False,)}

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


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

    NEUTRAL: ClassVar = {"verbosity": ("medium",)}

    format: Annotated[FreeFormat | FlatSchemaFormat, Field(discriminator="type")] | None = None


class ReasoningOptions(Part):
    """How much the model thinks; its thoughts come whole, never as a summary."""

    NEUTRAL: ClassVar = {
        "summary": ("auto",),
        "generate_summary": ("auto",),
        "context": ("auto",),
        "mode": ("standard",),
    }

    effort: Effort | None = None
