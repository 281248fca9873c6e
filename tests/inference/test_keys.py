"""`bedside inference keys`: shown once, scoped, rotated, revoked; wrong words change nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bedside_core import cli
from bedside_core.errors import ArtifactError
from bedside_inference.audit import journal
from bedside_inference.audit.journal import audit_directory
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.audit.reader import snapshot
from bedside_inference.config import InferenceConfig, StateConfig
from bedside_inference.keys import create, reidentifier, rotate
from bedside_inference.state.records import Key, Scope, State
from bedside_inference.state.store import Store

Call = Callable[..., None]
CONFIG = InferenceConfig(state=StateConfig(key_days=200))


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """`bedside inference keys ...` as a whole; returns the exit code."""
    config = tmp_path / "run.yaml"
    config.write_text("name: demo\ninference: {state: {key_days: 200}}\n")
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))

    def run(*words: str, code: int = 0) -> None:
        assert cli.main(["inference", "keys", "--config", str(config), *words]) == code

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
        "--department icu --priority emergency --models bedside,bedside --days 90 "
        "--requests-per-minute 60 --tokens-per-minute 20000 --purpose ETREAT --reidentify"
    )
    call("create", *words.split(), "--holder", "Dr. Jana Weiß ", "--label", "Visite")
    kept = only(tmp_path)
    assert kept.expires - kept.created == timedelta(days=90)
    assert kept.scope == Scope(
        department="icu",
        priority="emergency",
        models=("bedside", "bedside"),
        requests_per_minute=60,
        tokens_per_minute=20000,
        purpose="ETREAT",
        reidentify=True,
        holder="Dr. Jana Weiß",
        label="Visite",
    )


def test_the_holder_stands_in_the_list_alone(call, tmp_path, capsys, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    call("create", "--holder", "Jana Weiß", "--label", "Visite", "--department", "Innere Medizin")
    call("rotate", only(tmp_path).id)
    call("revoke", next(iter(state(tmp_path).keys.values())).id)
    said = "".join(capsys.readouterr()) + caplog.text
    files = (tmp_path / "gateway" / "audit").rglob("*")
    kept = "".join(path.read_text(errors="replace") for path in files if path.is_file())
    assert "key_rotated" in kept
    for name in ("Jana", "Visite"):
        assert name not in said + kept
    for key in state(tmp_path).keys.values():
        assert key.id not in kept
    call("list")
    [_, _, *lines] = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1:4] for line in lines] == [
        ["Jana Weiß", "Visite", "Innere Medizin"]
    ] * 2


def test_rotate(call, tmp_path, capsys) -> None:
    call("create", "--department", "icu")
    old = only(tmp_path)
    old_secret = capsys.readouterr().out.strip()
    call("rotate", "--overlap-hours", "0.5", old.id)
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
    call("create", *"--department icu --models bedside --requests-per-minute 60".split())
    first = only(tmp_path).id
    call("rotate", first)
    call("create", "--days", "1")
    secrets = capsys.readouterr().out.split()
    call("revoke", list(state(tmp_path).keys.values())[-1].id)
    call("list")
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert lines[0].split()[0] == "id"
    assert [line.split()[0] for line in lines[2:]] == [k.id for k in state(tmp_path).keys.values()]
    assert f"{first}  -       -      icu         ward   TREAT    bedside  60" in lines[2]
    assert "never      rotated until 20" in lines[2]
    assert lines[3].endswith("never      valid")
    assert lines[4].endswith("revoked")
    for secret in secrets:
        assert secret not in shown


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("revoke nosuchid", 3, "no key has this id"),
        ("rotate nosuchid", 3, "no key has this id"),
        ("revoke", 2, "name one key - `keys revoke ID`, or `keys revoke --pseudonym PSEUDONYM`"),
        ("revoke 0a1b2c3d --pseudonym 1.abc", 2, "name one key"),
        ("revoke --pseudonym 1.abc", 3, "no pseudonym of this house"),
        ("rotate", 2, "inference keys rotate: ID is missing"),
        ("revoke a b", 2, "takes [ID], and 2 stand here"),
        ("list all", 2, "takes no word, and 1 stand here"),
        ("steal", 2, "known are: "),
        ("create icu", 2, "takes no word, and 1 stand here"),
        ("create --note Meier", 2, "unknown option --note"),
        ("create --departement icu", 2, "did you mean --department?"),
        ("create --department Meier\u200b", 2, "--department: may hold no line breaks, control or"),
        ("create --holder=", 2, "--holder: must have 1 to 128 characters"),
        ("create --reidentify", 2, "--reidentify: needs a holder"),
        ("create --csv nix.csv --holder Meier", 2, "no other option fits"),
        ("create --priority Meier", 2, "--priority: must be one of 'emergency', 'ward' or 'batch'"),
        ("create --purpose Meier", 2, "--purpose: must be one of 'TREAT'"),
        ("create --models=", 2, "--models: must fit the pattern"),
        ("create --models a,,b", 2, "--models: must fit the pattern"),
        ("create --models beside", 2,
         "'beside' is no model of this house - did you mean bedside? known are: bedside"),
        ("create --days 0", 2, "--days: must be at least 1"),
        ("create --days 4000", 2, "--days: must be at most 3650"),
        ("create --days=", 2, "--days: must be a whole number"),
        ("create --requests-per-minute 0", 2, "--requests-per-minute: must be at least 1"),
        ("create --tokens-per-minute=-1", 2, "--tokens-per-minute: must be at least 1"),
        ("rotate nosuchid --overlap-hours=-1", 2, "--overlap-hours: must be at least 0"),
        ("rotate nosuchid --overlap-hours nan", 2, "--overlap-hours: must be "),
        ("rotate nosuchid --days 3", 2, "unknown option --days"),
        ("create department=Meier", 2, "`department=VALUE` is now written `--department VALUE`"),
        ("create days=1 --reidentify", 2, "`days=VALUE` is now written `--days VALUE`"),
        ("rotate nosuchid overlap_hours=2", 2, "is now written `--overlap-hours VALUE`"),
    ],
)  # fmt: skip
def test_wrong_words(call, tmp_path, capsys, words: str, code: int, told: str) -> None:
    call(*words.split(), code=code)
    printed = capsys.readouterr()
    assert told in printed.err
    assert "Meier" not in printed.err
    assert printed.out == ""
    assert state(tmp_path).revision == 0


def test_no_key_is_shown_without_its_audit_entry(call, tmp_path, capsys, monkeypatch) -> None:
    def refuse(action: str, /, **ids: str | int) -> None:
        raise ArtifactError("no space left - make room")

    monkeypatch.setattr(journal, "audited", lambda config, home: refuse)
    call("create", code=4)
    assert capsys.readouterr().out == ""
    assert state(tmp_path).revision == 0


def unrecorded(action: str, /, **ids: str | int) -> None:
    pass


def test_one_person_is_one_however_many_keys(tmp_path) -> None:
    """Neither several keys nor rotated ones make the two people of re-identification."""
    hour = timedelta(hours=1)
    jana, erik = Scope(reidentify=True, holder="Jana Weiß"), Scope(holder="Erik Groß")
    with closing(Store.open(StateConfig(), tmp_path)) as store:
        first = create(store, jana, days=1, audit=unrecorded)
        second = rotate(store, first.id, overlap=hour, audit=unrecorded)
        third = rotate(store, second.id, overlap=hour, audit=unrecorded)
        again = create(store, Scope(reidentify=True, holder="jana  weiß"), days=1, audit=unrecorded)
        other = create(store, erik, days=1, audit=unrecorded)
        nobody = [create(store, Scope(reidentify=True), days=1, audit=unrecorded) for _ in "ab"]
        after = rotate(store, nobody[0].id, overlap=hour, audit=unrecorded)
    find = reidentifier(StateConfig(), tmp_path)
    same = frozenset({first.id, second.id, third.id, again.id})
    for key in (first, second, third, again):
        assert find(key.secret) == (key.id, True, same)
    assert find(other.secret) == (other.id, False, frozenset({other.id}))
    # Of before 0.3: who has no name cannot be one of two people.
    assert find(nobody[1].secret) == (nobody[1].id, False, frozenset({nobody[1].id}))
    assert find(after.secret) == (after.id, False, frozenset({nobody[0].id, after.id}))
    assert find("unknown") is None


def test_two_keys_of_one_person_open_nothing(call, tmp_path, capsys, monkeypatch) -> None:
    for holder in ("Jana Weiß", "JANA WEISS", "Jana Weiß", "Erik Groß"):
        call("create", "--reidentify", "--holder", holder)
    one, _, same, other = capsys.readouterr().out.split()
    config = InferenceConfig()
    directory = audit_directory(config.audit, tmp_path)
    pseudonym = Pseudonyms(directory, config.audit).of("ffffffff")
    audit_words = ["inference", "audit", "reidentify", "--config", str(tmp_path / "run.yaml")]
    for key, code, said in (
        (one, 0, "a second person"), (same, 5, "asked before"), (other, 0, "ffffffff"),
    ):  # fmt: skip
        monkeypatch.setenv("BEDSIDE_API_KEY", key)
        assert cli.main([*audit_words, pseudonym]) == code
        assert said in "".join(capsys.readouterr())


def test_a_key_ends_by_its_pseudonym_and_nobody_learns_whose_it_was(
    call, tmp_path, capsys, caplog
) -> None:
    caplog.set_level(logging.INFO)
    for holder in ("Jana Weiß", "Erik Groß"):
        call("create", "--holder", holder)
    [key, kept] = state(tmp_path).keys.values()
    capsys.readouterr()
    caplog.clear()
    config = InferenceConfig()
    directory = audit_directory(config.audit, tmp_path)
    pseudonym = Pseudonyms(directory, config.audit).of(key.id)
    call("revoke", "--pseudonym", pseudonym)
    assert [one.revoked is None for one in state(tmp_path).keys.values()] == [False, True]
    printed = capsys.readouterr()
    said = printed.out + printed.err + caplog.text
    with snapshot(directory) as chain:
        *_, act, _ = [place.entry.members for place in chain.places()]
    assert (act["action"], act["ids"]["pseudonym"]) == ("key_revoked", pseudonym)
    for name in (key.id, kept.id, "Jana", "Weiß"):
        assert name not in said
        assert name not in json.dumps(act)
    # A person of the identity provider has no key here.
    token = Pseudonyms(directory, config.audit).of("https://sso.example|4711")
    call("revoke", "--pseudonym", token, code=3)
    assert "no API key" in capsys.readouterr().err
