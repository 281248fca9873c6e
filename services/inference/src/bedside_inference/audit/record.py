"""What the audit keeps of a request: ids, codes, counts and times, never content."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Literal, TypeGuard

from bedside_core.chain import content, rfc3339

DisconnectPhase = Literal["queued", "before_first_byte", "streaming", "not_streaming", "sending"]
DIED = "gateway_died"
"""Outcome of a request whose worker was killed under it."""
CUT_OFF = "gateway_stopped"
"""Outcome of a request that took longer than the drain of a gateway that ends."""


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """One request. The order is that of the written members."""

    request_id: str
    """The gateway's own, so that no two are equal."""
    trace_id: str | None = None
    started: float
    """Unix time in seconds."""
    ended: float | None = None
    """Unix time in seconds; none only if the gateway died."""
    duration_ms: float | None = None
    """By a monotonic clock, so it may disagree with `ended` when the wall clock was set."""
    queued_ms: float | None = None
    first_byte_ms: float | None = None
    pseudonym: str | None = None
    """Of who asked, see `Pseudonyms`."""
    auth_method: str | None = None
    department: str | None = None
    purpose_of_use: str | None = None
    """A code of HL7 v3 PurposeOfUse."""
    client_address: str
    """Sealed as the pseudonym is, once it is known who asks; otherwise in clear."""
    client_app: str
    """From a closed vocabulary."""
    method: str
    route: str
    """The template, never a path that a client wrote."""
    model: str | None = None
    model_digest: str | None = None
    """SHA-256 of the manifest."""
    evidence: str | None = None
    verdict: str | None = None
    adapter: str | None = None
    parameters: str | None = None
    """SHA-256 of the parameters that are no text."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    status: int | None = None
    finish_reason: str | None = None
    disconnect_phase: DisconnectPhase | None = None
    outcome: str = "unknown"
    decisions: tuple[str, ...] = ()
    """Codes of the policies that had a say."""


MEMBERS = tuple(field.name for field in fields(RequestRecord))
_LATER = {
    *("ended", "duration_ms", "queued_ms", "first_byte_ms", "prompt_tokens", "completion_tokens"),
    *("status", "finish_reason", "disconnect_phase", "outcome"),
}
EARLY = tuple(name for name in MEMBERS if name not in _LATER)
"""What is known before the engine is asked."""

SEALED = re.compile(r"([0-9]+)\.[A-Za-z0-9_-]+")
"""What `Pseudonyms` makes: the number of the period, and what its key opens."""
_SEALED = ("client_address", "asked_by", "requested_by")
OF_KEYS = ("key", "rotated_to")
"""Ids of API keys in an entry of type `admin`, sealed."""
_SEALED_IDS = (*OF_KEYS, "pseudonym")

_all_of, _early_of = attrgetter(*MEMBERS), attrgetter(*EARLY)


def begin_content(record: RequestRecord, worker: str) -> bytes:
    """The write-ahead entry of a request."""
    members = dict(zip(EARLY, _early_of(record), strict=True))
    members["started"] = rfc3339(record.started)
    return content("begin", {"worker": worker, **members})


def request_content(record: RequestRecord) -> bytes:
    """The one complete entry of a request."""
    members = dict(zip(MEMBERS, _all_of(record), strict=True))
    members["started"] = rfc3339(record.started)
    if record.ended is not None:
        members["ended"] = rfc3339(record.ended)
    for name in ("duration_ms", "queued_ms", "first_byte_ms"):
        if members[name] is not None:
            members[name] = round(members[name], 3)
    return content("request", members)


def died_content(begin: dict[str, Any]) -> bytes:
    """The complete entry of a request that only began: its worker is gone."""
    begin = without_clear_ids(begin)
    members = {name: begin.get(name) for name in MEMBERS}
    return content("request", {**members, "pseudonym": pseudonym_of(begin), "outcome": DIED})


def pseudonym_of(entry: dict[str, Any]) -> str | None:
    """The pseudonym in the entry of a request; versions before 0.2 wrote it as `subject`."""
    found: str | None = entry.get("pseudonym", entry.get("subject"))
    return found


def sealed_in(entry: dict[str, Any]) -> Iterator[str]:
    """All that the key of a pseudonym period opens in an entry of any type."""
    ids = entry.get("ids", {})
    values = [pseudonym_of(entry), *(entry.get(name) for name in _SEALED)]
    for value in (*values, *(ids.get(name) for name in _SEALED_IDS)):
        if is_sealed(value):
            yield value


def without_clear_ids(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry as others may have it: versions up to 0.2 wrote key ids and addresses in clear."""
    kept = {name: value for name, value in entry.items() if name != "key_id"}
    if pseudonym_of(entry) is not None and "client_address" in entry:
        kept["client_address"] = _sealed_or(entry["client_address"], "unknown")
    if "requested_by" in entry:
        kept["requested_by"] = _sealed_or(entry["requested_by"], None)
    if "ids" in entry:
        ids = entry["ids"].items()
        kept["ids"] = {n: v for n, v in ids if n not in _SEALED_IDS or is_sealed(v)}
    return kept


def is_sealed(value: object) -> TypeGuard[str]:
    """Whether a value has the form of a pseudonym."""
    return isinstance(value, str) and SEALED.fullmatch(value) is not None


def _sealed_or(value: object, otherwise: str | None) -> str | None:
    return value if is_sealed(value) else otherwise
