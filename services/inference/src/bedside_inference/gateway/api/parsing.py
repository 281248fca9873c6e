"""Reading a request's bytes as JSON, strictly, with one sentence for each way to fail."""

from __future__ import annotations

import codecs
import json
import math
from typing import Any, Never

from bedside_inference.gateway.api.fields import KNOWN_NAMES
from bedside_inference.gateway.errors import (
    has_bom,
    no_number,
    no_object,
    not_utf8,
    too_deep,
    too_many_digits,
    too_many_names,
    twice,
    wrong_json,
)

MAX_NAMES = 1024
"""In one JSON object."""
MAX_DIGITS = 512
"""Of a whole number, whose time to read grows with their square; 20 would do for any that means
something."""


def parse(raw: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        ApiError: 400, there is none, or two parsers could read it differently.
    """
    if raw.startswith(codecs.BOM_UTF8):
        raise has_bom()
    try:
        body = _decode(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise not_utf8() from None
    except json.JSONDecodeError as error:
        raise wrong_json(where=f"line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise too_deep() from None
    if not isinstance(body, dict):
        raise no_object()
    return body


def _no_constant(name: str) -> Never:
    raise no_number(name=name)  # RFC 8259; one of three names of Python's


def _short(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise too_many_digits()
    return int(digits)


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise too_many_digits()
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise twice(name=_repeated(pairs))  # parsers disagree about which one counts
    if len(found) > MAX_NAMES:
        raise too_many_names(most=MAX_NAMES)
    return found


def _repeated(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    again = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    return f"'{again}'" if again in KNOWN_NAMES else "A name"


_decode = json.JSONDecoder(
    parse_constant=_no_constant,
    parse_float=_finite,
    parse_int=_short,
    object_pairs_hook=_unique,
).decode
