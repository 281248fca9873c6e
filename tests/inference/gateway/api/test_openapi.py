"""The OpenAPI document is valid, has every route and every error, and takes what the gateway takes.

That the running gateway is as it says: test_schemathesis.py.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from jsonschema import Draft202012Validator
from schemathesis.config import SchemathesisConfig

from bedside_core.cli import main
from bedside_inference.gateway import app, errors
from bedside_inference.gateway.access import oidc
from bedside_inference.gateway.api import openapi
from bedside_inference.gateway.api.bodies import prepare_body
from bedside_inference.gateway.api.fields import REQUESTS
from bedside_inference.gateway.api.openapi import ERRORS, document
from bedside_inference.gateway.engines.client import REFUSALS
from bedside_inference.gateway.errors import STATUS_ERRORS, ApiError

DOCUMENT = document()
COMPONENTS = DOCUMENT["components"]
OPERATIONS = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def test_it_is_valid() -> None:
    schemathesis.openapi.from_dict(deepcopy(DOCUMENT), config=SchemathesisConfig()).validate()
    for schema in COMPONENTS["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_references_lead_somewhere_and_nothing_is_left_over() -> None:
    used = {found["$ref"] for found in walk(DOCUMENT) if isinstance(found.get("$ref"), str)}
    made = {
        f"#/components/{kind}/{name}"
        for kind in ("parameters", "responses", "schemas")
        for name in COMPONENTS[kind]
    }
    # No operation can have an error for methods that it is not.
    assert used == made - {"#/components/responses/405"}
    names = [operation["operationId"] for operation in OPERATIONS]
    assert len(set(names)) == len(names)


def test_every_route() -> None:
    assert set(DOCUMENT["paths"]) == app.ROUTES | {app.ONE_MODEL}
    public = {
        path
        for path, methods in DOCUMENT["paths"].items()
        if all(operation.get("security") == [] for operation in methods.values())
    }
    assert public == app.PUBLIC
    assert DOCUMENT["security"] == [{"bearer": []}]


def test_requests_are_closed() -> None:
    for request in REQUESTS.values():
        schema = COMPONENTS["schemas"][request.__name__]
        assert set(schema["properties"]) == set(request.model_fields)
        for name in request.IGNORED:
            assert "not passed on" in schema["properties"][name]["description"]
    parts = [schema for schema in COMPONENTS["schemas"].values() if "title" in schema]
    assert len(parts) > 20
    assert all(part["additionalProperties"] is False for part in parts)


@pytest.mark.parametrize("path", REQUESTS)
def test_examples_are_taken(path: str) -> None:
    body = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    for example in body["examples"].values():
        prepare_body(json.dumps(example["value"]).encode(), path, openapi.EXAMPLE_MODEL, {})


UNSENT = {(errors.CLIENT_CLOSED, errors.CLIENT_STALLED)}
COMPUTED: dict[tuple[str, str], set[tuple[int, str]]] = {
    ("admission", "_refusal"): {
        (429, "caller_queue_full"),
        (429, "class_queue_full"),
        (503, "overloaded"),
        (503, "queue_timeout"),
    },
    ("bodies", "_refusal"): {
        (400, f"missing_{name}")
        for request in REQUESTS.values()
        for name, field in request.model_fields.items()
        if field.is_required()
    },
    ("bodies", "_wrong"): {(400, "invalid_value"), (400, "unsupported_field")},
    ("client", "_refusal"): {(status, "engine_refused") for status in REFUSALS},
    ("errors", "_http_error"): {
        (400, "bad_request"),
        *((status, code) for status, (code, _) in STATUS_ERRORS.items()),
    },
    ("errors", "client_stalled"): UNSENT,
}
"""Module and function -> errors that it makes of a status or code that is no literal."""


def errors_made() -> Iterator[tuple[str, str, ast.expr, ast.expr]]:
    """Module, function, status and code of every `ApiError(...)` in the gateway."""
    for file in Path(inspect.getfile(app)).parent.rglob("*.py"):
        for function, call in calls(ast.parse(file.read_text()), ""):
            if ast.unparse(call.func).split(".")[-1] == "ApiError":
                yield file.stem, function, call.args[0], call.args[1]


def calls(node: ast.AST, function: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call, and the innermost function that it stands in."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.Call):
            yield function, inner
        named = isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from calls(inner, inner.name if named else function)


def test_every_error() -> None:
    found: set[tuple[int, str]] = set()
    computed = set()
    for module, function, status, code in errors_made():
        if isinstance(status, ast.Constant) and isinstance(code, ast.Constant):
            found.add((status.value, code.value))
        else:
            computed.add((module, function))
    assert computed == set(COMPUTED)
    said = {(status, code) for status, codes in ERRORS.items() for code in codes}
    assert said == found.union(*COMPUTED.values()) - UNSENT


def test_computed_codes_are_still_made() -> None:
    directory = Path(inspect.getfile(app)).parent
    for (module, _), pairs in COMPUTED.items():
        source = next(directory.rglob(f"{module}.py")).read_text()
        for _, code in pairs:
            assert re.sub("^missing_.*", "missing_", code) in source


def fixed() -> Iterator[ApiError]:
    """Every error that is the same each time."""
    for module in (errors, oidc):
        for _, function in inspect.getmembers(module, inspect.isfunction):
            signature = inspect.signature(function)
            if not signature.parameters and signature.return_annotation == "ApiError":
                yield function()


def test_headers_of_errors() -> None:
    sent = [error for error in fixed() if (error.status, error.code) not in UNSENT]
    assert len(sent) > 12
    for error in sent:
        described = COMPONENTS["responses"][str(error.status)]["headers"]
        names = set(error.headers or {})
        assert names - {"Connection"} <= set(described)
        must = {name for name, header in described.items() if header.get("required")}
        assert must - {"X-Request-Id"} <= names


def test_the_verb_needs_no_config(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))
    monkeypatch.delenv("BEDSIDE_CONFIG", raising=False)
    assert main(["inference", "openapi"]) == 0
    assert json.loads(capsys.readouterr().out) == DOCUMENT
    assert not any(tmp_path.iterdir())
