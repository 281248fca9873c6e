"""Records: what older versions wrote is read, and leaves the house as what is written now."""

from __future__ import annotations

import json
import time
from importlib import resources

import pytest
from jsonschema import Draft202012Validator

from bedside_inference.audit.fhir import EXPORTED, audit_event
from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.audit.reader import snapshot
from bedside_inference.audit.record import (
    begin_content,
    died_content,
    pseudonym_of,
    request_content,
)
from bedside_inference.audit.retention import _read, retain
from bedside_inference.audit.syslog import message
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


OLD = {"key_id": "0a1b2c3d", "client_address": "10.9.8.7"}


def of_0_2(content: bytes) -> bytes:
    """The same entry as version 0.2 wrote it: key and address in clear."""
    members = json.loads(b"{" + content + b"}")
    members = {**members, **{name: OLD[name] for name in OLD if members["type"] != "admin"}}
    return json.dumps(members, separators=(",", ":"))[1:-1].encode()


@pytest.fixture
def clear(directory, config, record):
    """A log of version 0.2: an answer, a begun request, and what was done to keys."""
    with AuditLog(directory, config) as audit:
        old = record("old", pseudonym="7.abc", auth_method="api_key", status=200)
        for made in (begin_content(old, "ab" * 8), request_content(old)):
            audit._chain.append(of_0_2(made))
        audit.admin("key_rotated", key="0a1b2c3d", rotated_to="4e5f6a7b", revision=3)
        asked = {"requested_by": "4e5f6a7b", "pseudonym": "7.abc", "key_id": "0a1b2c3d"}
        audit.write("reidentification", state="revealed", **asked)
        audit._chain.append(of_0_2(begin_content(old, "ab" * 8)))
    return directory


def test_a_log_of_0_2_verifies_and_expires(clear, read, config, monkeypatch) -> None:
    assert verify(clear).entries["request"] == 1
    for entry in read():
        Draft202012Validator(SCHEMA).validate(entry)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 500 * 86400)
    with AuditLog(clear, config) as audit:
        assert retain(audit, Pseudonyms(clear, config), config, None).segments == 1
    assert "0a1b2c3d" not in json.dumps(read())


def test_a_log_of_0_2_leaves_the_house_without_keys_and_addresses(clear, read) -> None:
    for entry in read():
        if entry["type"] in EXPORTED:
            for sent in (
                json.dumps(audit_event(entry, "site")),
                message(entry, "site", 32473).decode(),
            ):
                assert not [id for id in (*OLD.values(), "4e5f6a7b") if id in sent]


def test_what_version_0_2_had_begun_is_completed_without_them(clear, read) -> None:
    entry = json.loads(b"{" + died_content(read()[-2]) + b"}")
    assert (entry["pseudonym"], entry["client_address"]) == ("7.abc", "unknown")
    assert "key_id" not in entry


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
