"""Audit entries as FHIR R4 AuditEvents: requests in the shape of IHE BALP, and what the house does.

BALP's slices are kept (client, server and user agents; the X-Request-Id entity; the object that was
used), its profiles are not claimed: those are of FHIR reads, writes and queries, and their query
entity would carry the request itself. What the house does (keys, models, the audit itself) has the
codes of DICOM PS3.16: CID 400 (events), 401 (their types) and 402 (who took part).
"""

from __future__ import annotations

from typing import Any

from bedside_inference.audit.record import DIED, is_sealed, pseudonym_of, without_clear_ids

DCM = "http://dicom.nema.org/resources/ontology/DCM"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_BALP = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
PSEUDONYM, DIGEST = "urn:bedside:pseudonym", "urn:bedside:sha256"
SERVER = "bedside-gateway"
IP_ADDRESS, MACHINE_NAME, URI = "2", "1", "5"
_OF_REQUEST = (
    *("trace_id", "method", "route", "auth_method", "department", "parameters"),
    *("prompt_tokens", "completion_tokens", "duration_ms", "queued_ms", "first_byte_ms"),
    *("status", "finish_reason", "disconnect_phase"),
)
_OF_MODEL = ("evidence", "verdict", "adapter")

EXPORTED = frozenset({"request", "refused", "admin", "reidentification", "tombstone", "recovered"})
"""Entries that are for others; the rest (begins, checkpoints) holds the chain together."""
_LOG_USED = ("110101", "Audit Log Used")
_ACTIVITY, _START = ("110100", "Application Activity"), ("110120", "Application Start")
_ALERT = ("110113", "Security Alert")
_CONFIGURATION = ("110131", "Software Configuration")
_ATTRIBUTES = ("110137", "User Security Attributes Changed")
_OF_CHAIN = frozenset(
    {"seq", "time", "type", "prev", "hash", "signature", "action", "ids", "counts"}
)


def audit_event(entry: dict[str, Any], site: str) -> dict[str, Any]:
    """The AuditEvent of an entry of a type in `EXPORTED`.

    Args:
        entry: as it stands in the chain.
        site: name of this machine.
    """
    entry = without_clear_ids(entry)
    about = _request(entry, site) if entry["type"] == "request" else _house(entry, site)
    source = {
        "site": site,
        "observer": {"identifier": {"value": SERVER}},
        "type": [_coding(f"{_TERMINOLOGY}/security-source-type", "4", "Application Server")],
    }
    return {
        "resourceType": "AuditEvent",
        "id": entry["hash"],
        "recorded": entry["time"],
        "outcome": outcome(entry),
        "source": source,
        **about,
    }


def outcome(entry: dict[str, Any]) -> str:
    """0 success, 4 the client's fault or wish, 8 the house's fault, 12 the gateway died."""
    if entry["type"] != "request":
        if entry["type"] == "recovered":
            return "8"
        return "4" if "refused" in (entry["type"], entry.get("state")) else "0"
    if entry["outcome"] == DIED:
        return "12"
    status = entry["status"]
    if status is None or status >= 500:
        return "8"
    return "4" if status >= 400 or entry["disconnect_phase"] is not None else "0"


def _request(entry: dict[str, Any], site: str) -> dict[str, Any]:
    event: dict[str, Any] = {
        "type": _coding(f"{_TERMINOLOGY}/audit-event-type", "rest", "RESTful Operation"),
        "subtype": [_coding("http://hl7.org/fhir/restful-interaction", "operation", "operation")],
        "action": "E",
        "period": _present(start=entry["started"], end=entry["ended"]),
        "outcomeDesc": entry["outcome"],
        "agent": _agents(entry, site),
        "entity": _entities(entry),
    }
    if entry["purpose_of_use"] is not None:
        event["purposeOfEvent"] = [_purpose(entry)]
    return event


def _house(entry: dict[str, Any], site: str) -> dict[str, Any]:
    kind, subtype, action, said = _kind(entry)
    ids = (
        entry.get("ids", {})
        | entry.get("counts", {})
        | {n: v for n, v in entry.items() if n not in _OF_CHAIN}
    )
    agent: dict[str, Any] = {
        "type": _concept(DCM, "110150", "Application"),
        "who": {"identifier": {"value": SERVER}},
        "requestor": True,
        "network": {"address": site, "type": MACHINE_NAME},
    }
    agents = [agent]
    if entry.get("asked_by") is not None:
        agent["requestor"] = False
        who = {"identifier": {"system": PSEUDONYM, "value": entry["asked_by"]}}
        agents.append({"who": who, "requestor": True})
    event: dict[str, Any] = {
        "type": _coding(DCM, *kind),
        "action": action,
        "outcomeDesc": said,
        "agent": agents,
        "entity": [
            {
                "type": _coding(f"{_TERMINOLOGY}/audit-entity-type", "2", "System Object"),
                "detail": _details({**ids, "seq": entry["seq"]}, (*ids, "seq")),
            }
        ],
    }
    if subtype is not None:
        event["subtype"] = [_coding(DCM, *subtype)]
    return event


def _kind(
    entry: dict[str, Any],
) -> tuple[tuple[str, str], tuple[str, str] | None, str, str]:
    """Type and subtype of an event of the house, its action, and what happened in one word."""
    match entry:
        case {"type": "reidentification", "state": str(state)}:
            return _LOG_USED, None, "R", f"reidentification_{state}"
        case {"type": "tombstone"}:
            return _LOG_USED, None, "D", "segment_deleted"
        case {"type": "recovered", "reason": str(reason)}:
            return _ALERT, None, "E", f"audit_recovered_{reason}"
        case {"type": "refused"}:
            return _ALERT, None, "E", "requests_refused"
        case {"action": "gateway_started"}:
            return _ACTIVITY, _START, "E", entry["action"]
        case {"action": str(action)} if action.startswith("key_"):
            return _ALERT, _ATTRIBUTES, "U", action
        case _:
            return _ALERT, _CONFIGURATION, "U", entry["action"]


def _agents(entry: dict[str, Any], site: str) -> list[dict[str, Any]]:
    pseudonym = pseudonym_of(entry)
    known = pseudonym is not None
    agents: list[dict[str, Any]] = [
        {
            "type": _concept(DCM, "110153", "Source Role ID"),
            "who": {"identifier": {"value": entry["client_app"]}},
            "requestor": not known,
            "network": _network(entry["client_address"]),
        },
        {
            "type": _concept(DCM, "110152", "Destination Role ID"),
            "who": {"identifier": {"value": SERVER}},
            "requestor": False,
            "network": {"address": site, "type": MACHINE_NAME},
        },
    ]
    if known:
        user = {
            "type": _concept(
                f"{_TERMINOLOGY}/v3-ParticipationType", "IRCP", "information recipient"
            ),
            "who": {"identifier": {"system": PSEUDONYM, "value": pseudonym}},
            "requestor": True,
        }
        if entry["purpose_of_use"] is not None:
            user["purposeOfUse"] = [_purpose(entry)]
        agents.append(user)
    return agents


def _network(address: str) -> dict[str, str]:
    if is_sealed(address):
        return {"address": f"{PSEUDONYM}:{address}", "type": URI}
    return {"address": address, "type": IP_ADDRESS if address != "unknown" else MACHINE_NAME}


def _entities(entry: dict[str, Any]) -> list[dict[str, Any]]:
    entities: list[dict[str, Any]] = [
        {
            "what": {"identifier": {"value": entry["request_id"]}},
            "type": _coding(_BALP, "XrequestId"),
            "detail": [
                *_details(entry, _OF_REQUEST),
                *({"type": "decision", "valueString": code} for code in entry["decisions"]),
                {"type": "seq", "valueString": str(entry["seq"])},
            ],
        }
    ]
    if entry["model"] is not None:
        used: dict[str, Any] = {
            "type": _coding(f"{_TERMINOLOGY}/audit-entity-type", "2", "System Object"),
            "role": _coding(f"{_TERMINOLOGY}/object-role", "4", "Domain Resource"),
            "name": entry["model"],
        }
        if entry["model_digest"] is not None:
            used["what"] = {"identifier": {"system": DIGEST, "value": entry["model_digest"]}}
        if details := _details(entry, _OF_MODEL):
            used["detail"] = details
        entities.append(used)
    return entities


def _details(entry: dict[str, Any], names: tuple[str, ...]) -> list[dict[str, str]]:
    return [
        {"type": name, "valueString": str(entry[name])} for name in names if entry[name] is not None
    ]


def _purpose(entry: dict[str, Any]) -> dict[str, Any]:
    return _concept(f"{_TERMINOLOGY}/v3-ActReason", entry["purpose_of_use"])


def _concept(system: str, code: str, display: str | None = None) -> dict[str, Any]:
    return {"coding": [_coding(system, code, display)]}


def _coding(system: str, code: str, display: str | None = None) -> dict[str, str]:
    return _present(system=system, code=code, display=display)


def _present(**members: str | None) -> dict[str, str]:
    return {name: value for name, value in members.items() if value is not None}
