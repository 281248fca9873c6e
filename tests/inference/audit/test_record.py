"""Records: what versions before 0.2 wrote is read as what is written now."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from jsonschema import Draft202012Validator

from bedside_inference.audit.fhir import audit_event
from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.reader import snapshot
from bedside_inference.audit.record import (
    begin_content,
    died_content,
    pseudonym_of,
    request_content,
)
from bedside_inference.audit.retention import _read
from bedside_inference.audit.verify import verify

SCHEMA = json.loads(resources.files("bedside_inference.audit").joinpath("schema.json").read_text())


def before(content: bytes) -> bytes:
    """The same entry as version 0.1 wrote it."""
    assert content.count(b'"pseudonym":') == 1
    return content.replace(b'"pseudonym":', b'"subject":')


@pytest.fixture
def mixed(directory, config, record):
    """A log that was begun by version 0.1 and is continued by this one."""
    with AuditLog(directory, config) as audit:
        old = record("old", pseudonym="7.abc", status=200)
        audit._chain.append(before(begin_content(old, "ab" * 8)))
        audit._chain.append(before(request_content(old)))
        audit.sync()
        new = record("new", pseudonym="8.abc", status=200)
        audit.begin(new)
        audit.finish(new)
    return directory


def test_a_log_of_both_verifies(mixed, read) -> None:
    assert verify(mixed).entries == {"begin": 2, "request": 2, "checkpoint": 2}
    for entry in read():
        Draft202012Validator(SCHEMA).validate(entry)


def test_a_log_of_both_is_exported(mixed, read) -> None:
    requests = [entry for entry in read() if entry["type"] == "request"]
    found = [audit_event(entry, "site")["agent"][2]["who"]["identifier"] for entry in requests]
    assert [each["value"] for each in found] == ["7.abc", "8.abc"]


def test_the_pseudonym_keys_of_both_are_in_use(mixed) -> None:
    with snapshot(mixed) as chain:
        [segment], _ = _read(chain)
    assert segment.periods == {7, 8}


def test_what_an_old_worker_had_begun_is_completed(record) -> None:
    begin = before(begin_content(record("old", pseudonym="7.abc"), "ab" * 8))
    entry = json.loads(b"{" + died_content(json.loads(b"{" + begin + b"}")) + b"}")
    assert (entry["pseudonym"], entry["outcome"]) == ("7.abc", "gateway_died")
    assert "subject" not in entry
    assert pseudonym_of(entry) == "7.abc"
