"""What a model wrote. It holds text: it is kept in the evaluation's private state and nowhere else.

Tested in tests/eval/answering/test_asking.py.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Mode = Literal["generated", "constrained", "rotated"]
"""Freely, held to the letters of the options, or that with the options in every other rotation."""


class Answer(BaseModel):
    """To one item, in one mode."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    text: str = Field(repr=False)
    finish: Literal["stop", "length", "none"]
    """`length`: truncated; `none`: the engine gave no answer to this one."""


PIECE = TypeAdapter(tuple[Answer, ...])
Answered = dict[tuple[str, Mode], tuple[Answer, ...]]
"""By exam and mode, in the order of the items."""
