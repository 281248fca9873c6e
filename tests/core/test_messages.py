"""What a person reads when a value is wrong: our words, what was expected, never what was found."""

from __future__ import annotations

import re
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, Field, StringConstraints, ValidationError, model_validator
from pydantic_core.core_schema import ErrorType

from bedside_core.config import Config, validate
from bedside_core.errors import ConfigError
from bedside_core.messages import SENTENCES, did_you_mean, likeness

SECRET = "Herr Kanarienvogel"
FOREIGN = re.compile(
    r"Value error|Assertion failed|Input should|Field required|Extra inputs|valid (integer|number)"
    r"|after validation|should (be|have|match)|not permitted|unable to parse|pydantic|[{}]"
)
"""Words of pydantic's own, or a template that was not filled."""


class Colour(Enum):
    RED = "red"


class Item(Config):
    path: Path
    """A file, or a folder. It is searched with its subfolders."""
    format: Literal["jsonl", "text"] = "jsonl"


class Everything(Config):
    renamed: ClassVar[dict[str, str]] = {"strikes": "failure_threshold"}

    count: Annotated[int, Field(ge=1, le=9, multiple_of=2)] = 2
    rate: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.5
    flag: bool = False
    word: Annotated[str, StringConstraints(min_length=2, max_length=4, pattern="^[a-z]+$")] = "ab"
    """Names the thing."""
    items: Annotated[tuple[Item, ...], Field(min_length=1)] | None = None
    pair: tuple[int, int] = (1, 2)
    many: Annotated[tuple[int, ...], Field(max_length=2)] = ()
    sets: dict[Annotated[str, Field(pattern="^[a-z]+$")], Item] = Field(default_factory=dict)
    inner: Item | None = None
    colour: Colour = Colour.RED
    when: AwareDatetime | None = None
    day: date | None = None
    failure_threshold: int = 3

    @model_validator(mode="after")
    def _no_seven(self) -> Everything:
        if self.failure_threshold == 7:
            raise ValueError("failure_threshold must not be 7 - take 6")
        return self


def refused(value: object) -> list[str]:
    with pytest.raises(ConfigError) as error:
        validate(Everything, value, "here")
    lines = str(error.value).splitlines()
    assert SECRET not in str(error.value)
    assert not [line for line in lines if FOREIGN.search(line.replace("{3,4}", ""))]
    return lines


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({"count": SECRET}, "here.count: must be a whole number"),
        ({"count": 1.5}, "here.count: must be a whole number"),
        ({"count": []}, "here.count: must be a whole number"),
        ({"count": 0}, "here.count: must be at least 1"),
        ({"count": 10}, "here.count: must be at most 9"),
        ({"count": 3}, "here.count: must be a multiple of 2"),
        ({"rate": SECRET}, "here.rate: must be a number"),
        ({"rate": None}, "here.rate: must be a number"),
        ({"rate": 0}, "here.rate: must be greater than 0.0"),
        ({"rate": 1}, "here.rate: must be less than 1.0"),
        ({"rate": float("nan")}, "here.rate: must be a finite number"),
        ({"flag": SECRET}, "here.flag: must be true or false"),
        ({"word": 5}, "here.word: must be text"),
        ({"word": "a"}, "here.word: must have at least 2 characters"),
        ({"word": SECRET}, "here.word: may have at most 4 characters"),
        ({"word": "A1"}, "here.word: must fit the pattern ^[a-z]+$ - Names the thing"),
        ({"items": 5}, "here.items: must be a list"),
        ({"items": []}, "here.items: needs at least 1 item, and has 0"),
        ({"items": [{}]}, "here.items.0.path: is missing - A file, or a folder"),
        ({"items": [{"path": 5}]}, "here.items.0.path: must be a path"),
        ({"items": [{"path": "a", "format": SECRET}]},
         "here.items.0.format: must be one of 'jsonl' or 'text'"),
        ({"items": [{"path": "a", "formt": "text"}]},
         "here.items.0.formt: unknown name - did you mean format? known are: format, path"),
        ({"pair": [1]}, "here.pair.1: is missing"),
        ({"many": [1, 2, 3]}, "here.many: may have at most 2 items"),
        ({"sets": []}, "here.sets: must be a mapping of names to values"),
        ({"sets": {"A": {"path": "a"}}}, "here.sets.A: as a name, must fit the pattern ^[a-z]+$"),
        ({"sets": {"a": {"pth": "a", "path": "b"}}},
         "here.sets.a.pth: unknown name - did you mean path? known are: path, format"),
        ({"inner": []}, "here.inner: must be a mapping of names to values"),
        ({"inner": {}}, "here.inner.path: is missing - A file, or a folder"),
        ({"colour": SECRET}, "here.colour: must be one of 'red'"),
        ({"when": SECRET}, "here.when: must be a date and time with its offset, like "),
        ({"when": "2026-01-31T08:00:00"}, "here.when: must be a date and time with its offset"),
        ({"day": SECRET}, "here.day: must be a date, like 2026-01-31"),
        ({"failure_threshold": 7}, "here: failure_threshold must not be 7 - take 6"),
        ({"strikes": 3}, "here.strikes: is now called failure_threshold"),
        ({"stripes": 3}, "here.stripes: unknown name - "),
        ({3: 3}, "here.3: must have a name that is text"),
        ([], "here: must be a mapping of names to values"),
        (SECRET, "here: must be a mapping of names to values"),
    ],
)  # fmt: skip
def test_each_kind_of_fault_in_our_words(value: object, line: str) -> None:
    [found] = refused(value)
    assert found.startswith(line)


def test_all_faults_at_once_each_on_its_own_line() -> None:
    faults = {"count": "x", "rate": [], "items": [{"pat": 1}, {"path": "a"}], "strikes": 1}
    assert [line.partition(": ")[0] for line in refused(faults)] == [
        "here.count", "here.rate", "here.items.0.path", "here.items.0.pat", "here.strikes",
    ]  # fmt: skip


def test_every_sentence_is_ours_and_of_an_error_that_exists() -> None:
    assert set(SENTENCES) <= {*get_args(ErrorType), "path_type"}
    assert not [text for text in SENTENCES.values() if text.endswith(".")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(SECRET),
    lambda s: st.lists(s, max_size=3) | st.dictionaries(st.sampled_from("ab"), s, max_size=3),
    max_leaves=6,
)
names = st.sampled_from([*Everything.model_fields, "strikes", "items", "inner"])


@given(st.dictionaries(names, json_values | st.lists(st.dictionaries(names, json_values))))
def test_whatever_is_wrong_is_told_without_its_value(value: dict[str, Any]) -> None:
    """Taken or refused with at least one line; never pydantic's words, never the value."""
    try:
        Everything.model_validate(value)
    except ValidationError:
        assert refused(value)


@given(st.text(max_size=12), st.lists(st.text("abc_", min_size=1, max_size=8), max_size=6))
def test_known_names_are_all_told_the_nearest_first(name: str, known: list[str]) -> None:
    told = did_you_mean(name, known).rpartition("known are: ")[2]
    shown = told.split(", ") if known else []
    assert sorted(shown) == sorted(known)
    alike = [likeness(name, other) for other in shown]
    assert alike == sorted(alike, reverse=True)
