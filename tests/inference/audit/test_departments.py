"""A department of few people leaves the house as `other`, and the SIEM learns it no earlier."""

from __future__ import annotations

import json

import pytest

from bedside_inference.audit.departments import Departments
from bedside_inference.audit.fhir import audit_event
from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.reader import snapshot
from bedside_inference.audit.syslog import _batches, read_cursor


def entry(person: int | None, department: str | None = "Palliativ", period: int = 7) -> dict:
    pseudonym = None if person is None else f"{period}.person{person}"
    return {"type": "request", "pseudonym": pseudonym, "department": department}


def told(departments: Departments, found: dict) -> str | None:
    return departments.coarse(found)["department"]


def test_five_people_are_enough_and_four_are_not() -> None:
    departments = Departments(5)
    for person in (1, 2, 3, 4, 4, 4):
        departments.add(entry(person))
        assert told(departments, entry(person)) == "other"
    departments.add(entry(5))
    assert told(departments, entry(1)) == "Palliativ"
    assert told(departments, entry(1, period=8)) == "other"  # perhaps the same people
    assert told(departments, entry(1, "HNO")) == "other"
    assert told(departments, entry(None)) == "other"
    assert told(departments, entry(None, None)) is None


def test_an_entry_itself_is_not_changed() -> None:
    found = entry(1)
    assert Departments(5).coarse(found) != found
    assert found == entry(1)


def test_a_house_that_wants_names_gets_them() -> None:
    departments = Departments(1)
    departments.add(entry(1))
    assert told(departments, entry(1)) == "Palliativ"


def test_what_the_last_delivery_saw_is_known_to_the_next(tmp_path) -> None:
    path = tmp_path / "departments.json"
    departments = Departments.read(path, 3)
    for person in (1, 2):
        departments.add(entry(person))
        departments.add(entry(person, period=5))
    departments.write(path)
    again = Departments.read(path, 3)
    again.add(entry(3))
    again.add(entry(3, period=5))
    assert told(again, entry(1)) == "Palliativ"
    assert told(again, entry(1, period=5)) == "other"  # of long ago, so it was not kept
    for damaged in ("{", '{"groups": 1}'):
        path.write_text(damaged)
        assert told(Departments.read(path, 3), entry(1)) == "other"


@pytest.fixture
def asked(directory, config, record):
    """Five people of one department and one of another."""
    with AuditLog(directory, config) as audit:
        for person in range(5):
            audit.finish(record(f"m{person}", pseudonym=f"7.m{person}", department="Medizin"))
        audit.finish(record("p", pseudonym="7.p", department="Palliativ"))
        audit.finish(record("n", status=401))
    return directory


def test_the_siem_learns_no_small_department(asked) -> None:
    departments = Departments(5)
    [(batch, _)] = _batches(asked, read_cursor(asked), departments)
    assert [each["department"] for each in batch] == ["other"] * 4 + ["Medizin", "other", None]
    sent = json.dumps([audit_event(each, "site") for each in batch])
    assert "Palliativ" not in sent
    with snapshot(asked) as chain:  # the log itself keeps it
        assert "Palliativ" in [p.entry.members.get("department") for p in chain.places()]
