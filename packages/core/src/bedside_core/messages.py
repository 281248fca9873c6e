"""What a person reads when a value is wrong: our sentences for the validation errors of pydantic.

A sentence says what was expected, never what was found: a wrong value may be a secret or a text.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

Path = tuple[int | str, ...]
"""Where a value stands, from the validated object down."""

KEY = "[key]"
"""How pydantic ends the path of a mapping's key that is wrong itself."""
NEAR = 0.6
"""Similarity from which a known name is offered as what was meant."""

WHOLE = "must be a whole number"
NUMBER = "must be a number"
YES_OR_NO = "must be true or false"
TEXT = "must be text"
LIST = "must be a list"
MAPPING = "must be a mapping of names to values"
MOMENT = "must be a date and time with its offset, like 2026-01-31T08:00:00Z"
DAY = "must be a date, like 2026-01-31"

SENTENCES: Mapping[str, str] = {
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_from_float": WHOLE,
    "int_parsing_size": "must be a smaller whole number",
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "finite_number": "must be a finite number",
    "bool_type": YES_OR_NO,
    "bool_parsing": YES_OR_NO,
    "string_type": TEXT,
    "string_unicode": "must be text in UTF-8",
    "bytes_type": TEXT,
    "path_type": "must be a path",
    "list_type": LIST,
    "tuple_type": LIST,
    "set_type": LIST,
    "frozen_set_type": LIST,
    "iterable_type": LIST,
    "dict_type": MAPPING,
    "mapping_type": MAPPING,
    "model_type": MAPPING,
    "model_attributes_type": MAPPING,
    "invalid_key": "must have a name that is text",
    "none_required": "must be left out",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "too_short": "needs at least {min_length:item}, and has {actual_length}",
    "too_long": "may have at most {max_length:item}",
    "string_too_short": "must have at least {min_length:character}",
    "string_too_long": "may have at most {max_length:character}",
    "string_pattern_mismatch": "must fit the pattern {pattern}",
    "datetime_type": MOMENT,
    "datetime_parsing": MOMENT,
    "datetime_from_date_parsing": MOMENT,
    "timezone_aware": MOMENT,
    "date_type": DAY,
    "date_parsing": DAY,
    "date_from_datetime_parsing": DAY,
    "json_invalid": "is not valid JSON",
    "value_error": "{error}",
    "assertion_error": "{error}",
}
"""By pydantic's name of the error; the fields are its context."""


def explain(
    error: ValidationError, model: type[BaseModel], label: Callable[[Path], str]
) -> list[str]:
    """One line for each wrong value: `label` of where it stands, and a sentence."""
    found = error.errors(include_input=False, include_url=False)
    places = [tuple(item["loc"]) for item in found]
    return [
        f"{label(place[:-1] if place[-1:] == (KEY,) else place)}: {sentence(item, model)}"
        for item, place in zip(found, places, strict=True)
        if not _only_follows(item["type"], place, places)
    ]


def sentence(item: Mapping[str, Any], model: type[BaseModel]) -> str:
    """What is wrong with one value and what was expected, without its place.

    Args:
        item: one of `ValidationError.errors()`.
        model: what was validated.
    """
    kind, place = item["type"], tuple(item["loc"])
    if kind == "extra_forbidden":
        return _unknown(str(place[-1]), _model_at(model, place[:-1]))
    if kind == "missing":
        return f"is missing{_described(model, place)}"
    template = SENTENCES.get(kind)
    if template is None:
        return f"is not what is expected here ({kind}){_described(model, place)}"
    context = {name: _Value(value) for name, value in item.get("ctx", {}).items()}
    said = template.format_map(context)
    if place[-1:] == (KEY,):
        said = f"as a name, {said}"
    return said + (_described(model, place) if kind == "string_pattern_mismatch" else "")


class _Value:
    """A value for a template; with a noun as its format, `{limit:item}`, it counts things."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __format__(self, noun: str) -> str:
        if not noun:
            return str(self.value)
        return f"{self.value} {noun}" + ("" if self.value == 1 else "s")


def likeness(name: str, known: str) -> float:
    """How alike two names are, from 0 to 1; a beginning is like the whole."""
    one, other = (text.lower().lstrip("-") for text in (name, known))
    if one and other.startswith(one):
        return 1.0
    return difflib.SequenceMatcher(None, one, other).ratio()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: what was meant, and what there is.

    The known names follow, those first that are most like it.
    """
    names = sorted(known, key=lambda other: -likeness(name, other))
    if not names:
        return "none is known here"
    near = likeness(name, names[0]) >= NEAR
    return (f"did you mean {names[0]}? " if near else "") + f"known are: {', '.join(names)}"


def _only_follows(kind: str, place: Path, places: list[Path]) -> bool:
    """Whether a list is called too short only because its wrong items were not counted."""
    below = (other for other in places if other != place and other[: len(place)] == place)
    return kind == "too_short" and any(below)


def _unknown(name: str, model: type[BaseModel] | None) -> str:
    renamed: Mapping[str, str] = getattr(model, "renamed", {})
    if name in renamed:
        return f"is now called {renamed[name]}"
    return f"unknown name - {did_you_mean(name, model.model_fields if model else ())}"


def _described(model: type[BaseModel], place: Path) -> str:
    """The first sentence of the docstring of the field at a place."""
    owner = _model_at(model, place[:-1]) if place else None
    field = owner.model_fields.get(str(place[-1])) if owner else None
    text = " ".join((field.description or "").split()) if field else ""
    first = text.split(". ")[0].rstrip(".")
    return f" - {first}" if first else ""


def _model_at(model: type[BaseModel], place: Path) -> type[BaseModel] | None:
    """The model whose fields stand at a place, if one does."""
    here: object = model
    for step in place:
        here = _below(here, step)
    return _as_model(here)


def _below(annotation: object, step: int | str) -> object:
    owner = _as_model(annotation)
    if owner is not None:
        field = owner.model_fields.get(str(step))
        return field.annotation if field else None
    for part in _parts(annotation):
        origin, inner = typing.get_origin(part), typing.get_args(part)
        if origin is dict or (origin in (list, tuple) and isinstance(step, int)):
            return inner[-1] if origin is dict else inner[0]
    return None


def _as_model(annotation: object) -> type[BaseModel] | None:
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _parts(annotation: object) -> list[object]:
    """The alternatives of a type, without what `Annotated` adds."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _parts(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [part for inner in typing.get_args(annotation) for part in _parts(inner)]
    return [annotation]
