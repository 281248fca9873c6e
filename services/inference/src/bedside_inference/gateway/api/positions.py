"""What a request that does not fit is told: where it goes wrong, and what would be taken there.

A position has indices and declared names alone; neither is content.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bedside_inference.gateway.api.fields import KNOWN_NAMES
from bedside_inference.gateway.api.history import UNKNOWN_ITEM
from bedside_inference.gateway.api.parts import UNDECLARED
from bedside_inference.gateway.errors import (
    ApiError,
    invalid_value,
    missing_field,
    unsupported_field,
)

Position = tuple[str | int, ...]

MOST_KINDS = 4
"""Of a value that one sentence names."""

KINDS = {
    "missing": "given",
    "union_tag_not_found": "an object with {discriminator}",
    "union_tag_invalid": "an object whose {discriminator} is one of {expected_tags}",
    UNKNOWN_ITEM: "a message, function_call, function_call_output or reasoning",
    "string_type": "a string",
    "string_too_short": "a string of at least {min_length} character",
    "string_too_long": "a string of at most {max_length} characters",
    "string_pattern_mismatch": "a string of the pattern {pattern}",
    "int_type": "a whole number without a point",
    "int_from_float": "a whole number without a point",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "none_required": "null or left out",
    "literal_error": "{expected}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "too_short": "an array of at least {min_length}",
    "too_long": "an array of at most {max_length}",
    "value_error": "a JSON schema {error}",
}
"""Type of an error -> what the value must be; the names are those of pydantic's context that hold
what we declared."""


def refusal(error: ValidationError, given: dict[str, Any]) -> ApiError:
    """The first undeclared member if there is one, otherwise what lies deepest.

    Args:
        error: what is wrong with it.
        given: the request as it came.
    """
    found = error.errors(include_url=False, include_input=False)
    undeclared = next((one for one in found if one["type"] == UNDECLARED), None)
    if undeclared is not None:
        return _undeclared(_position(undeclared, given), undeclared["ctx"])
    placed = [(_position(one, given), one) for one in found]
    field = placed[0][0][:1]
    where = max((place for place, _ in placed if place[:1] == field), key=len)
    here = [one for place, one in placed if place == where]
    if len(where) == 1 and here[0]["type"] == "missing":
        return missing_field(param=str(where[0]), field=str(where[0]))
    return wrong(where, dict.fromkeys(map(_kind, here)))


def wrong(where: Position, kinds: Iterable[str]) -> ApiError:
    """The error for a value of a wrong type or size.

    Args:
        where: it stands.
        kinds: what it must be, one of them.
    """
    what = " or ".join([*kinds][:MOST_KINDS])
    return invalid_value(param=str(where[0]), where=f"'{_written(where)}'", what=what)


def _undeclared(where: Position, about: dict[str, Any]) -> ApiError:
    name, place, of = about["name"], about["place"], about["of"]
    known = name if name in KNOWN_NAMES else None
    if where:
        inside = f"'{_written(where)}'"
        which = f"'{known}' in {inside}" if known else f"Member {place} of {of} in {inside}"
    else:
        which = f"'{known}'" if known else f"Field {place} of {of}"
    param = str(where[0]) if where else known
    return unsupported_field(param=param, which=which, taken=about["taken"])


def _kind(error: ErrorDetails) -> str:
    return KINDS.get(error["type"], "something else").format_map(error.get("ctx", {}))


def _position(error: ErrorDetails, given: Any) -> Position:
    """Where an error is, without what pydantic puts into its path for the branches of unions."""
    path: Position = error["loc"]
    found: list[str | int] = []
    for step in path:
        if not _holds(given, step) or (isinstance(step, str) and step not in KNOWN_NAMES):
            continue
        given = given[step]
        found.append(step)
    if error["type"] == "missing" and given is not None:  # it is null where it is left out so
        found.append(path[-1])
    return tuple(found)


def _holds(given: Any, step: str | int) -> bool:
    if isinstance(given, list):
        return isinstance(step, int) and step < len(given)
    return isinstance(given, dict) and step in given


def _written(where: Position) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
    return "".join(steps).removeprefix(".")
