"""Errors: one table; what the audit and the database raise is told in one place."""

from __future__ import annotations

import logging

import pytest
from starlette.requests import ClientDisconnect

from bedside_core.errors import ArtifactError
from bedside_inference.audit.entries import AuditError
from bedside_inference.gateway import errors
from bedside_inference.gateway.errors import TABLE, known, outcome
from bedside_inference.state.errors import StateUnavailable


def test_a_status_and_code_have_one_sentence_each() -> None:
    """But where one code has two causes."""
    twice = [(refusal.statuses, refusal.code) for refusal in TABLE]
    doubled = {code for statuses, code in twice if twice.count((statuses, code)) > 1}
    assert doubled == {"too_many_tokens", "invalid_json"}
    assert len({refusal.sentence for refusal in TABLE}) == len(TABLE)


def test_what_is_given_comes_on_top() -> None:
    error = errors.model_loading(about="in about 7 s", headers={"Retry-After": "7"})
    assert (error.status, error.code, error.headers) == (503, "model_loading", {"Retry-After": "7"})
    assert error.message == "The model is loading or its engine is down; try again in about 7 s."
    assert errors.model_loading().headers == {"Retry-After": "5"}
    assert errors.missing_field(param="input", field="input").code == "missing_input"
    assert errors.engine_refused(status=422, param="seed").body["error"]["param"] == "seed"


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (StateUnavailable("a"), "state_unavailable"),
        (AuditError("a"), "audit_unavailable"),
        (errors.not_offered(), "not_offered"),
    ],
)
async def test_what_is_known_is_told(raised, code) -> None:
    async def work() -> None:
        raise raised

    told = await outcome(work())
    assert told is not None
    assert told.code == code


@pytest.mark.parametrize("bug", [ArtifactError("a text"), KeyError("a text")])
async def test_a_bug_is_told_as_one_and_logged_without_its_text(bug, caplog) -> None:
    async def work() -> None:
        raise bug

    with caplog.at_level(logging.ERROR):
        told = await outcome(work())
    assert known(bug) is None
    assert told is not None
    assert (told.status, told.code) == (500, "internal_error")
    assert caplog.messages[0].startswith("a request failed")


async def test_a_client_that_left_is_told_nothing() -> None:
    async def work() -> None:
        raise ClientDisconnect

    with pytest.raises(ClientDisconnect):
        await outcome(work())
