"""The JSON of a state: schemas and how it is named by its content.

Tested in tests/trainer/state/test_states.py.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from bedside_models.scores import Scores

RECORD = "record.json"
INDEX = "index.json"
Schema = TypeVar("Schema", bound=BaseModel)
ShardName = Annotated[str, StringConstraints(pattern=r"^(model|optimizer)-\d{5}\.safetensors$")]
"""A name from a file becomes part of a path: nothing else is let in."""


class Closed(BaseModel):
    """Base of the schemas: what they do not know is damage."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Point(Closed):
    """One optimizer step of the loss curve."""

    step: int
    """From 1."""
    loss: float
    """Mean negative log-likelihood per predicted token, in nats, before the step."""
    learning_rate: float
    grad_norm: float
    """L2 norm before clipping."""
    tokens: int
    """Tokens seen up to and with this step."""


class StateRecord(Closed):
    """What a state holds besides tensors."""

    schema_version: Literal[1] = 1
    step: int
    """Finished optimizer steps."""
    seconds: float
    """Time spent in them."""
    curve: tuple[Point, ...]
    before: Scores
    """The base model on the held-out texts."""
    extras: dict[str, Any] = {}
    """What else must survive a kill, by the name of who wrote it; JSON."""
    recipe: str = ""
    """Name of the work directory, which is the recipe's; filled when the state is written."""
    index: str = ""
    """SHA-256 of `index.json`; filled when the state is written."""


class Slice(Closed):
    """Which part of a tensor: all three have one number per dimension."""

    shape: tuple[int, ...]
    """Of the whole tensor."""
    start: tuple[int, ...]
    size: tuple[int, ...]


class Shard(Closed):
    """One tensor file."""

    sha256: str
    tensors: dict[str, Slice]


class Index(Closed):
    """The tensor files of a state, by name."""

    shards: dict[ShardName, Shard]


def name_of(prefix: str, step: int, raw: bytes) -> str:
    """The directory's name, which binds the bytes of its record."""
    return f"{prefix}-{step:012d}-{hashlib.sha256(raw).hexdigest()[:16]}"


def parse(schema: type[Schema], raw: bytes) -> Schema:
    """Read JSON of one of the schemas above.

    Raises:
        ValueError: it is no JSON, or of another schema.
    """
    try:
        return schema.model_validate(json.loads(raw))
    except ValidationError:
        raise ValueError("unknown schema") from None


def unparse(value: BaseModel) -> bytes:
    """The JSON that `parse` reads; numbers come back bit for bit."""
    return json.dumps(value.model_dump()).encode()
