"""`bedside inference keys`: shown once, scoped, rotated, revoked; wrong words change nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bedside_core.errors import BedsideError, ConfigError, InputError
from bedside_core.registry import Registry
from bedside_inference.config import InferenceConfig, StateConfig
from bedside_inference.keys import create, manage, reidentifier, rotate
from bedside_inference.state.records import Key, Scope, State
from bedside_inference.state.store import Store

Call = Callable[..., None]
CONFIG = InferenceConfig(state=StateConfig(key_days=200))


@pytest.fixture
def call(tmp_path: Path) -> Call:
    def run(action: str, *words: str) -> None:
        manage(CONFIG, Registry(tmp_path), action, words, lambda action, /, **ids: None)

    return run


def state(home: Path) -> State:
    with closing(Store.open(CONFIG.state, home)) as store:
        return store.snapshot()


def only(home: Path) -> Key:
    [key] = state(home).keys.values()
    return key


def test_create_prints_only_the_key(call, tmp_path, capsys, caplog) -> None:
    caplog.set_level(logging.INFO)
    call("create")
    key, end = capsys.readouterr().out.split("\n")
    assert key.startswith("bsk-")
    assert len(key) == len("bsk-") + 43  # 256 bits in base64
    assert end == ""
    assert key not in caplog.text
    kept = only(tmp_path)
    assert kept.scope == Scope()
    assert kept.expires - kept.created == timedelta(days=200)
    assert state(tmp_path).find(key, datetime.now(UTC)) == kept.principal


def test_create_with_a_scope(call, tmp_path) -> None:
    words = (
        "department=icu priority=emergency models=bedside,other days=90 requests_per_minute=60 "
        "tokens_per_minute=20000 purpose=ETREAT reidentify=yes"
    )
    call("create", *words.split())
    kept = only(tmp_path)
    assert kept.expires - kept.created == timedelta(days=90)
    assert kept.scope == Scope(
        department="icu",
        priority="emergency",
        models=("bedside", "other"),
        requests_per_minute=60,
        tokens_per_minute=20000,
        purpose="ETREAT",
        reidentify=True,
    )


def test_rotate(call, tmp_path, capsys) -> None:
    call("create", "department=icu")
    old = only(tmp_path)
    old_secret = capsys.readouterr().out.strip()
    call("rotate", old.id, "overlap_hours=0.5")
    new_secret = capsys.readouterr().out.strip()
    now, house = datetime.now(UTC), state(tmp_path)
    assert house.keys[old.sha256].expires <= now + timedelta(hours=0.5)
    assert house.find(old_secret, now)
    found = house.find(new_secret, now)
    assert found is not None
    assert found.department == "icu"


def test_rotate_overlaps_for_a_day(call, tmp_path) -> None:
    call("create")
    old = only(tmp_path)
    call("rotate", old.id)
    left = state(tmp_path).keys[old.sha256].expires - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)


def test_revoke(call, tmp_path, capsys) -> None:
    call("create")
    secret = capsys.readouterr().out.strip()
    call("revoke", only(tmp_path).id)
    assert state(tmp_path).find(secret, datetime.now(UTC)) is None
    assert capsys.readouterr().out == ""
    call("revoke", only(tmp_path).id)


def test_list(call, tmp_path, capsys) -> None:
    call("list")
    assert capsys.readouterr().out == "no keys\n"
    call("create", "department=icu", "models=bedside", "requests_per_minute=60")
    first = only(tmp_path).id
    call("rotate", first)
    call("create", "days=1")
    secrets = capsys.readouterr().out.split()
    call("revoke", list(state(tmp_path).keys.values())[-1].id)
    call("list")
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert lines[0].split()[0] == "id"
    assert [line.split()[0] for line in lines[2:]] == [k.id for k in state(tmp_path).keys.values()]
    assert f"{first}  icu         ward   TREAT    bedside  60" in lines[2]
    assert "rotated until 20" in lines[2]
    assert lines[3].endswith("valid")
    assert lines[4].endswith("revoked")
    for secret in secrets:
        assert secret not in shown


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        (["revoke", "nosuchid"], InputError, "no key has this id"),
        (["rotate", "nosuchid"], InputError, "no key has this id"),
        (["revoke"], ConfigError, "which key"),
        (["rotate"], ConfigError, "which key"),
        (["revoke", "a", "b"], ConfigError, "which key"),
        (["list", "all"], ConfigError, "no further word"),
        (["steal"], ConfigError, "create, list, rotate or revoke"),
        (["create", "icu"], ConfigError, "name=value"),
        (["create", "days=1", "days=2"], ConfigError, "each name once"),
        (["create", "note=Meier"], ConfigError, r"keys create\.note: unknown name"),
        (["create", "department=Dr. Meier"], ConfigError, r"keys create\.department"),
        (["create", "priority=Meier"], ConfigError, r"keys create\.priority"),
        (["create", "purpose=Meier"], ConfigError, r"keys create\.purpose"),
        (["create", "models="], ConfigError, r"keys create\.models"),
        (["create", "models=a,,b"], ConfigError, r"keys create\.models\.1"),
        (["create", "days=0"], ConfigError, r"keys create\.days"),
        (["create", "days=4000"], ConfigError, r"keys create\.days"),
        (["create", "days="], ConfigError, r"keys create\.days"),
        (["create", "requests_per_minute=0"], ConfigError, "requests_per_minute"),
        (["create", "tokens_per_minute=-1"], ConfigError, "tokens_per_minute"),
        (["create", "reidentify=perhaps"], ConfigError, r"keys create\.reidentify"),
        (["rotate", "nosuchid", "overlap_hours=-1"], ConfigError, "overlap_hours"),
        (["rotate", "nosuchid", "overlap_hours=nan"], ConfigError, "overlap_hours"),
        (["rotate", "nosuchid", "days=3"], ConfigError, "days"),
    ],
)
def test_wrong_words(call, tmp_path, words, error: type[BedsideError], told) -> None:
    with pytest.raises(error, match=told) as raised:
        call(*words)
    assert "Meier" not in str(raised.value)
    assert state(tmp_path).revision == 0


def test_no_key_is_shown_without_its_audit_entry(tmp_path, capsys) -> None:
    def refuse(action: str, /, **ids: str | int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        manage(CONFIG, Registry(tmp_path), "create", [], refuse)
    assert capsys.readouterr().out == ""
    assert state(tmp_path).revision == 0


def test_rotated_keys_are_one_holder(tmp_path) -> None:
    """During the overlap several are valid; they are not the two people of re-identification."""

    def unrecorded(action: str, /, **ids: str | int) -> None:
        pass

    hour = timedelta(hours=1)
    with closing(Store.open(StateConfig(), tmp_path)) as store:
        first = create(store, Scope(reidentify=True), days=1, audit=unrecorded)
        second = rotate(store, first.id, overlap=hour, audit=unrecorded)
        third = rotate(store, second.id, overlap=hour, audit=unrecorded)
        other = create(store, Scope(), days=1, audit=unrecorded)
    find = reidentifier(StateConfig(), tmp_path)
    same = frozenset({first.id, second.id, third.id})
    for key in (first, second, third):
        assert find(key.secret) == (key.id, True, same)
    assert find(other.secret) == (other.id, False, frozenset({other.id}))
    assert find("unknown") is None
