"""The AuditEvent: what is written of one request, and the elements that IHE BALP demands."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from bedside_inference.audit.fhir import audit_event

GOLDEN = Path(__file__).parent / "golden"
ANSWERED = json.loads((GOLDEN / "entry.json").read_text())
REJECTED = {
    **ANSWERED,
    **dict.fromkeys(
        ["trace_id", "pseudonym", "auth_method", "department", "purpose_of_use", "model",
         "model_digest", "evidence", "verdict", "parameters", "prompt_tokens", "completion_tokens",
         "queued_ms", "first_byte_ms", "finish_reason"]
    ),
    "status": 401, "outcome": "invalid_api_key", "decisions": [],
}  # fmt: skip
DIED = {
    **ANSWERED,
    **dict.fromkeys(["ended", "duration_ms", "status", "completion_tokens", "finish_reason"]),
    "outcome": "gateway_died",
}


def test_it_is_what_the_golden_file_says() -> None:
    golden = json.loads((GOLDEN / "auditevent.json").read_text())
    assert audit_event(ANSWERED, "gateway.example") == golden


@pytest.mark.parametrize(
    ("entry", "event"), json.loads((GOLDEN / "house.json").read_text()),
    ids=lambda member: member.get("outcomeDesc", "from"),
)  # fmt: skip
def test_what_the_house_does_is_what_the_golden_file_says(entry, event) -> None:
    made = audit_event(entry, "gateway.example")
    assert made == event
    assert [agent["requestor"] for agent in made["agent"]].count(True) == 1


def coding(concept: dict) -> tuple[str, str]:
    (found,) = concept["coding"]
    return found["system"], found["code"]


@pytest.mark.parametrize("entry", [ANSWERED, REJECTED, DIED])
def test_balp_finds_what_it_demands(entry) -> None:
    event = audit_event(entry, "gateway.example")
    system = "http://terminology.hl7.org/CodeSystem/"
    assert event["resourceType"] == "AuditEvent"
    assert (event["type"]["system"], event["type"]["code"]) == (system + "audit-event-type", "rest")
    assert event["subtype"][0]["system"] == "http://hl7.org/fhir/restful-interaction"
    assert event["action"] in {"C", "R", "U", "D", "E"}
    assert event["outcome"] in {"0", "4", "8", "12"}
    assert datetime.fromisoformat(event["recorded"]).tzinfo is not None
    assert event["source"]["observer"]
    agents = {coding(agent["type"])[1]: agent for agent in event["agent"]}
    for code in ("110153", "110152"):
        assert coding(agents[code]["type"])[0] == "http://dicom.nema.org/resources/ontology/DCM"
        assert agents[code]["who"]["identifier"]["value"]
        assert agents[code]["network"]["address"]
        assert agents[code]["network"]["type"] in {"1", "2", "5"}
        assert "media" not in agents[code]
    assert [agent["requestor"] for agent in event["agent"]].count(True) == 1
    if entry["pseudonym"] is not None:
        user = agents["IRCP"]
        assert user["requestor"] is True
        assert user["who"]["identifier"]["value"] == entry["pseudonym"]
        assert coding(user["purposeOfUse"][0]) == (system + "v3-ActReason", "TREAT")
        assert "network" not in user
    transactions = [e for e in event["entity"] if e["type"]["code"] == "XrequestId"]
    (transaction,) = transactions
    assert transaction["type"]["system"].startswith("https://profiles.ihe.net/ITI/BALP/")
    assert transaction["what"]["identifier"]["value"] == entry["request_id"]
    data = [e for e in event["entity"] if e["type"]["code"] == "2"]
    assert len(data) == (entry["model"] is not None)
    for used in data:
        assert used["what"]["identifier"]["value"] == entry["model_digest"]
        assert used["role"]["code"]


HOUSE = [entry for entry, _ in json.loads((GOLDEN / "house.json").read_text())]
ALL = [ANSWERED, REJECTED, DIED, {**REJECTED, "model": "unknown-digest"}, *HOUSE]


@pytest.mark.parametrize("entry", ALL)
def test_hl7s_definition_of_the_resource_takes_it(entry) -> None:
    """R4B's AuditEvent is that of R4; members, types and cardinalities, not the code systems."""
    event = audit_event(entry, "gateway.example")
    read = AuditEvent.model_validate_json(json.dumps(event), strict=True)
    assert set(json.loads(read.model_dump_json())) == set(event)


def test_nothing_is_empty_or_null() -> None:
    """FHIR allows neither null members nor empty arrays, objects and strings."""

    def check(value: object) -> None:
        assert value not in (None, "", [], {})
        for part in value.values() if isinstance(value, dict) else ():
            check(part)
        for part in value if isinstance(value, list) else ():
            check(part)

    for entry in ALL:
        check(audit_event(entry, "gateway.example"))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "0"),
        ({"disconnect_phase": "streaming"}, "4"),
        ({"status": 401}, "4"),
        ({"status": 429}, "4"),
        ({"status": 499, "disconnect_phase": "queued"}, "4"),
        ({"status": 502}, "8"),
        ({"status": None, "outcome": "unknown"}, "8"),
        ({"status": None, "outcome": "gateway_died"}, "12"),
    ],
)
def test_outcome(changes, code) -> None:
    event = audit_event({**ANSWERED, **changes}, "gateway.example")
    assert event["outcome"] == code
    assert event["outcomeDesc"] == {**ANSWERED, **changes}["outcome"]
