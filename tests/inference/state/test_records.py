"""A key is found only whole, unexpired and unrevoked; garbage is just not found."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bedside_inference.state import records
from bedside_inference.state.records import (
    PREFIX,
    Alias,
    Key,
    KeyOptions,
    Scope,
    State,
    digest_of,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = PREFIX + "A" * 43
DIGEST = "ab" * 32


def key(secret: str = SECRET, **changes: object) -> Key:
    facts = {
        "id": "0123abcd",
        "sha256": digest_of(secret),
        "created": NOW - timedelta(days=1),
        "expires": NOW + timedelta(days=1),
        **changes,
    }
    return Key.model_validate(facts)


def state(*keys: Key) -> State:
    return State(1, {k.sha256: k for k in keys}, {}, frozenset())


def test_the_holder_of_a_key() -> None:
    scope = {
        "department": "icu",
        "priority": "emergency",
        "purpose": "ETREAT",
        "models": ("bedside", "other"),
        "requests_per_minute": 60,
        "tokens_per_minute": 20000,
    }
    found = state(key(**scope)).find(SECRET, NOW)
    assert found is not None
    assert (found.method, found.subject, found.key_id) == ("api_key", "0123abcd", "0123abcd")
    assert found.models == {"bedside", "other"}
    assert {name: getattr(found, name) for name in scope if name != "models"} == {
        name: value for name, value in scope.items() if name != "models"
    }
    everything = state(key()).find(SECRET, NOW)
    assert everything is not None
    assert everything.models is None


def test_it_ends_at_its_very_moment() -> None:
    house = state(key())
    end = NOW + timedelta(days=1)
    assert house.find(SECRET, end - timedelta(microseconds=1))
    assert house.find(SECRET, end) is None
    assert house.find(SECRET, end + timedelta(days=1000)) is None


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    end = (NOW + timedelta(days=1)).astimezone()
    assert state(key()).find(SECRET, end) is None


def test_a_revoked_key() -> None:
    assert state(key(revoked=NOW)).find(SECRET, NOW - timedelta(hours=1)) is None


@given(st.text(max_size=60) | st.text(min_size=43, max_size=43).map(lambda t: PREFIX + t))
def test_garbage_is_not_found(text: str) -> None:
    assert state(key()).find(text, NOW) is None or text == SECRET


@pytest.mark.parametrize(
    "wrong",
    ["", PREFIX, SECRET[:-1], SECRET + "A", SECRET + "\n", SECRET.upper(), "\udc80" * 47,
     "ä" * 47, "\0" * 47, digest_of(SECRET), "x" * 1_000_000],
)  # fmt: skip
def test_near_misses(wrong: str) -> None:
    assert state(key()).find(wrong, NOW) is None


def test_a_lookup_looks_at_one_key_of_many(monkeypatch) -> None:
    many = [PREFIX + secrets.token_urlsafe(32) for _ in range(5000)]
    house = state(*(key(secret) for secret in many))
    hashed, valid, seen = records.digest_of, Key.valid, []
    monkeypatch.setattr(records, "digest_of", lambda text: seen.append("hash") or hashed(text))
    monkeypatch.setattr(Key, "valid", lambda self, now: seen.append("key") or valid(self, now))
    assert house.find(many[4321], NOW)
    assert seen == ["hash", "key"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"department": ""},
        {"holder": "Jana\nWeiß"},
        {"label": "x" * 65},
        {"priority": "vip"},
        {"purpose": "CURIOSITY"},
        {"models": ()},
        {"requests_per_minute": 0},
        {"tokens_per_minute": -1},
        {"note": "for the intern"},
    ],
)
def test_what_a_scope_refuses(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Scope.model_validate(wrong)


@pytest.mark.parametrize("wrong", [{"sha256": "x"}, {"id": "1"}, {"expires": datetime(2030, 1, 1)}])
def test_a_row_that_makes_no_sense_is_no_key(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        key(**wrong)


def test_who_may_reidentify_has_a_name() -> None:
    with pytest.raises(ValidationError, match="needs a holder"):
        KeyOptions(reidentify=True)
    assert KeyOptions(reidentify=True, holder="Jana Weiß").scope == Scope(
        reidentify=True, holder="Jana Weiß"
    )


def test_what_leaves_the_process_names_no_holder() -> None:
    named = key(holder="Jana Weiß", label="Visite")
    assert "Weiß" not in repr(named.principal)
    assert "Visite" not in repr(named.principal)


@pytest.mark.parametrize(
    ("changes", "soon"),
    [
        ({"expires": NOW + timedelta(days=13, hours=23)}, True),
        ({"expires": NOW + timedelta(days=14, seconds=1)}, False),
        ({"expires": NOW}, False),
        ({"revoked": NOW}, False),
        ({"rotated_to": "0123abce"}, False),
    ],
)
def test_a_key_that_ends_soon(changes: dict[str, object], soon: bool) -> None:
    assert key(**changes).expiring(NOW) is soon


def test_a_name_that_was_never_switched() -> None:
    assert state().alias("bedside") == Alias(name="bedside", primary=None, canary_share=0)


@pytest.mark.parametrize("wrong", [{"primary": "ab"}, {"canary": DIGEST, "canary_share": 1.1}])
def test_wrong_aliases(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Alias.model_validate({"name": "bedside", **wrong})
