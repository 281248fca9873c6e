"""The OpenAPI document is valid, has every route and every error, and takes what the gateway takes.

That the running gateway is as it says: test_schemathesis.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import schemathesis
from jsonschema import Draft202012Validator
from schemathesis.config import SchemathesisConfig

from bedside_core.cli import main
from bedside_inference.gateway.api import openapi
from bedside_inference.gateway.api.bodies import prepare_body
from bedside_inference.gateway.api.fields import REQUESTS, parts
from bedside_inference.gateway.api.history import Past
from bedside_inference.gateway.api.openapi import ERRORS
from bedside_inference.gateway.api.routes import ONE_MODEL, PUBLIC, ROUTES
from bedside_inference.gateway.app import document
from bedside_inference.gateway.errors import CLIENT_CLOSED, TABLE

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
    assert set(DOCUMENT["paths"]) == ROUTES | {ONE_MODEL}
    public = {
        path
        for path, methods in DOCUMENT["paths"].items()
        if all(operation.get("security") == [] for operation in methods.values())
    }
    assert public == PUBLIC
    assert DOCUMENT["security"] == [{"bearer": []}]


def test_requests_are_closed() -> None:
    for request in REQUESTS.values():
        schema = COMPONENTS["schemas"][request.__name__]
        assert set(schema["properties"]) == set(request.model_fields)
        for name in request.IGNORED:
            assert "not passed on" in schema["properties"][name]["description"]
    made = {name: schema for name, schema in COMPONENTS["schemas"].items() if "title" in schema}
    assert len(made) > 20
    past = {name for name, schema in made.items() if schema.get("additionalProperties") is None}
    assert past == {part.__name__ for part in parts(Past)} - {"Past", "Item", "AskedMessage"}
    assert all(made[name]["additionalProperties"] is False for name in set(made) - past)


@pytest.mark.parametrize("path", REQUESTS)
def test_examples_are_taken(path: str) -> None:
    body = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    for example in body["examples"].values():
        prepare_body(json.dumps(example["value"]).encode(), path, openapi.EXAMPLE_MODEL, {})


def test_every_error_that_can_be_made_is_described() -> None:
    """None can be made but by the table, of which the document is made."""
    fixed = [refusal for refusal in TABLE if "{" not in refusal.code]
    assert len(fixed) > 35
    for refusal in fixed:
        for status in set(refusal.statuses) - {CLIENT_CLOSED}:
            error = refusal(status=status)
            said = COMPONENTS["responses"][str(status)]["description"]
            assert f"- `{error.code}`: " in said
            assert error.message in said
    assert str(CLIENT_CLOSED) not in COMPONENTS["responses"]


def test_one_code_for_each_field_that_can_be_missing() -> None:
    fields = {
        name
        for request in REQUESTS.values()
        for name, field in request.model_fields.items()
        if field.is_required()
    }
    said = {code for code in ERRORS[400] if code.startswith("missing_")}
    assert said == {f"missing_{name}" for name in fields}


def test_headers_of_errors() -> None:
    for refusal in TABLE:
        error = refusal()
        if error.status in (CLIENT_CLOSED, 405, 429):  # or what makes it knows its header
            continue
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
