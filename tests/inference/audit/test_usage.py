"""Usage by department and month: right sums, and no group in which one person stands out."""

from __future__ import annotations

import csv
import io
import json
import time
from collections import defaultdict
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.audit.reader import snapshot
from bedside_inference.audit.retention import retain
from bedside_inference.audit.usage import COUNTS, Use, merged, rendered, usage

OCTOBER = datetime(2026, 10, 5, 12, tzinfo=UTC).timestamp()
NOVEMBER = datetime(2026, 11, 5, 12, tzinfo=UTC).timestamp()
DECEMBER = datetime(2026, 12, 5, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def at(monkeypatch):
    """Set the clock."""

    def set_clock(moment: float) -> None:
        monkeypatch.setattr(time, "time", lambda: moment)

    return set_clock


@pytest.fixture
def asked(directory, config, record, at):
    """Write that some people of a department asked at a time, each once."""

    def write(moment: float, department: str | None, people: range, **changes) -> None:
        at(moment)
        with AuditLog(directory, config) as audit:
            for person in people:
                facts = {"prompt_tokens": 10, "completion_tokens": 2, "status": 200, **changes}
                if department is not None:
                    facts["pseudonym"] = f"7.{department}{person}"
                audit.finish(record(f"{moment}{person}", department=department, **facts))

    return write


def told(directory, smallest: int = 5) -> dict[tuple[str, str], tuple[int, ...]]:
    with snapshot(directory) as chain:
        found = usage(chain, smallest)
    return {
        (month, name): tuple(getattr(use, count) for count in COUNTS)
        for month, groups in found.items()
        for name, use in groups.items()
    }


def test_sums_by_month_and_department(directory, asked, at) -> None:
    asked(OCTOBER, "Medizin", range(5))
    asked(OCTOBER, "Medizin", range(3), status=429, prompt_tokens=None, completion_tokens=None)
    asked(OCTOBER, "Medizin", range(1), status=499, disconnect_phase="streaming")
    asked(OCTOBER, None, range(40), status=401)
    asked(NOVEMBER, "Medizin", range(6))
    asked(NOVEMBER, "Chirurgie", range(9))
    asked(DECEMBER, "Medizin", range(9))
    assert told(directory) == {
        ("2026-10", "Medizin"): (9, 3, 60, 12),
        ("2026-11", "Medizin"): (6, 0, 60, 12),
        ("2026-11", "Chirurgie"): (9, 0, 90, 18),
    }  # and nothing of a month that is not over


def test_small_departments_are_together_and_not_what_is_left_of_the_sum(
    directory, asked, at
) -> None:
    asked(OCTOBER, "Palliativ", range(2))
    asked(OCTOBER, "HNO", range(4))
    asked(OCTOBER, "Medizin", range(9))
    asked(NOVEMBER, "Palliativ", range(2))
    asked(NOVEMBER, "Chirurgie", range(6))
    asked(NOVEMBER, "Medizin", range(9))
    at(DECEMBER)
    assert told(directory) == {
        ("2026-10", "Medizin"): (9, 0, 90, 18),
        ("2026-10", "other"): (6, 0, 60, 12),
        ("2026-11", "Medizin"): (9, 0, 90, 18),
        # Two people alone would be the sum less the rest.
        ("2026-11", "other"): (8, 0, 80, 16),
    }
    assert ("2026-11", "Palliativ") in told(directory, 1)


def test_a_month_of_few_people_is_not_told(directory, asked, at) -> None:
    asked(OCTOBER, "Palliativ", range(4))
    at(NOVEMBER)
    assert told(directory) == {}
    with snapshot(directory) as chain:
        assert "no month" in rendered(usage(chain, 5), "table")


def test_a_month_that_is_partly_deleted_is_not_told(directory, config, asked, at) -> None:
    """Or its last day would be the difference of two reports."""
    asked(OCTOBER, "Medizin", range(9))
    at(OCTOBER + 2 * 86400)
    with AuditLog(directory, config) as audit:
        audit.sync()  # a new segment begins
    asked(OCTOBER + 9 * 86400, "Medizin", range(7))
    asked(NOVEMBER, "Medizin", range(8))
    at(OCTOBER + (config.retention_days + 5) * 86400)
    with AuditLog(directory, config) as audit:
        assert retain(audit, Pseudonyms(directory, config), config, None).segments == 1
    assert [month for month, _ in told(directory)] == ["2026-11"]


def test_one_person_with_two_pseudonyms_is_one(directory, config, record, at) -> None:
    at(OCTOBER)
    with AuditLog(directory, config) as audit:
        for period in (7, 8):
            for person in range(3):
                one = {"pseudonym": f"{period}.{person}", "department": "HNO", "status": 200}
                audit.finish(record(f"{period}{person}", **one))
    at(NOVEMBER)
    assert told(directory) == {}


@given(
    st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 12), st.integers(1, 9))),
    st.integers(1, 6),
)
def test_every_group_that_is_told_is_large_enough(asked, smallest) -> None:
    groups: defaultdict[str, Use] = defaultdict(Use)
    for department, person, times in asked:
        for _ in range(times):
            facts = {"status": 200, "disconnect_phase": None}
            tokens = {"prompt_tokens": 1, "completion_tokens": 1}
            groups[department].add({**facts, **tokens}, f"7.{department}{person}")
    whole = sum(use.requests for use in groups.values())
    found = merged({name: copied(use) for name, use in groups.items()}, smallest)
    assert all(use.size >= smallest for use in found.values())
    # What is missing from the sum is all or nothing.
    assert sum(use.requests for use in found.values()) in (whole, 0)
    for name, use in found.items():
        assert name == "other" or use.requests == groups[name].requests


def copied(use: Use) -> Use:
    found = Use()
    found.take(use)
    return found


def test_its_forms_say_the_same(directory, asked, at) -> None:
    asked(OCTOBER, "Innere Medizin, Station 3", range(9))
    at(NOVEMBER)
    with snapshot(directory) as chain:
        found = usage(chain, 5)
    row = {
        "month": "2026-10", "department": "Innere Medizin, Station 3", "requests": 9,
        "refused": 0, "prompt_tokens": 90, "completion_tokens": 18,
    }  # fmt: skip
    assert json.loads(rendered(found, "json")) == [row]
    [read] = csv.DictReader(io.StringIO(rendered(found, "csv")))
    assert read == {name: str(value) for name, value in row.items()}
    head, _, line = rendered(found, "table").splitlines()
    assert head.split("  ")[0] == "month"
    assert line.split() == ["2026-10", "Innere", "Medizin,", "Station", "3", "9", "0", "90", "18"]
