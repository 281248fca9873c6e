"""The verbs, and the two-person rule."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path

import pytest

from bedside_core import cli
from bedside_core.errors import ConfigError, InputError, PolicyError
from bedside_inference.audit import manage
from bedside_inference.audit.entries import AuditError
from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.config import InferenceConfig

KEYS = {
    "first": ("k1", True, frozenset({"k1", "k4"})),
    "rotated": ("k4", True, frozenset({"k1", "k4"})),
    "second": ("k2", True, frozenset({"k2"})),
    "ward": ("k3", False, frozenset({"k3"})),
}


SUBJECTS = {"a1a1a1a1": {"a1a1a1a1", "b2b2b2b2"}, "b2b2b2b2": {"a1a1a1a1", "b2b2b2b2"}}
"""Two keys of one person."""


@pytest.fixture
def verb(tmp_path, config, monkeypatch, capsys):
    """Run a verb; returns what it said."""
    house = InferenceConfig(audit=config)
    verbs = {
        "verify": lambda file=None: manage.check(house, tmp_path, file and Path(file)),
        "export fhir": lambda: manage.export_fhir(house, tmp_path),
        "export syslog": lambda: manage.export_syslog(house, tmp_path),
        "retain": lambda: manage.shorten(house, tmp_path),
        "export pseudonym": lambda name: manage.export_pseudonym(house, tmp_path, name),
        "export person": lambda who: manage.export_person(
            house, tmp_path, who, KEYS.get, lambda subject: SUBJECTS.get(subject, {subject})
        ),
        "usage": lambda: manage.tell_usage(house, tmp_path, "table"),
        "reidentify": lambda name: manage.open_pseudonym(house, tmp_path, name, KEYS.get),
    }

    def call(action: str, word: str | None = None, key: str | None = None) -> str:
        monkeypatch.delenv("BEDSIDE_API_KEY", raising=False)
        if key is not None:
            monkeypatch.setenv("BEDSIDE_API_KEY", key)
        capsys.readouterr()
        verbs[action](*[] if word is None else [word])
        return capsys.readouterr().out

    return call


@pytest.fixture
def pseudonym(directory, config, record) -> str:
    found = Pseudonyms(directory, config).of("clear-name")
    with AuditLog(directory, config) as audit:
        audit.finish(record("r1", pseudonym=found, status=200))
    return found


@pytest.fixture
def states(read, directory, config):
    """What the log says of reidentifications, its seals opened."""
    house = Pseudonyms(directory, config)

    def opened(sealed: str | None) -> str | None:
        return sealed and house.key_of(sealed)

    return lambda: [
        (e["state"], opened(e["asked_by"]), opened(e["requested_by"]))
        for e in read()
        if e["type"] == "reidentification"
    ]


def test_verify_tells_what_is_there(verb, pseudonym) -> None:
    said = verb("verify")
    assert "the audit log is whole: 2 entries in 1 segments" in said
    assert "1 checkpoint, 1 request" in said


def test_verify_takes_a_line_of_the_log(verb, pseudonym, tmp_path, directory) -> None:
    (tmp_path / "anchor").write_bytes((directory.parent / "checkpoint.json").read_bytes())
    assert "whole" in verb("verify", str(tmp_path / "anchor"))
    with pytest.raises(InputError, match="not a checkpoint"):
        verb("verify", str(tmp_path / "missing"))


def test_export_fhir_gives_one_line_per_event(verb, pseudonym, directory, config, record) -> None:
    with AuditLog(directory, config) as audit:
        audit.admin("model_stopped", model="ab" * 32)
        audit.finish(record("r2", status=401, outcome="invalid_api_key"))
    events = [json.loads(line) for line in verb("export fhir").splitlines()]
    assert [e["outcomeDesc"] for e in events] == ["answered", "model_stopped", "invalid_api_key"]


def test_export_fhir_names_no_small_department(verb, directory, config, record) -> None:
    with AuditLog(directory, config) as audit:
        for name, people in (("Palliativ", 4), ("Innere Medizin", 5)):
            for person in range(people):
                who = {"pseudonym": f"1.{person}{people}", "department": name, "status": 200}
                audit.finish(record(f"{person}{people}", **who))
    said = verb("export fhir")
    assert (said.count("Palliativ"), said.count("Innere Medizin")) == (0, 5)
    assert said.count('"valueString":"other"') == 4


def lines(said: str) -> list[dict]:
    return [json.loads(line) for line in said.splitlines()]


def test_export_of_a_pseudonym(verb, pseudonym, directory, config, record) -> None:
    """Article 15: everything, as it stands, of this one and of nobody else."""
    house = Pseudonyms(directory, config)
    with AuditLog(directory, config) as audit:
        audit.begin(record("r2", pseudonym=pseudonym))
        audit.finish(record("r2", pseudonym=pseudonym, client_address=house.of_address("10.1.1.1")))
        audit.finish(record("r3", pseudonym=house.of("other-name")))
        audit.admin("key_revoked", pseudonym=pseudonym, revision=3)
    found = lines(verb("export pseudonym", pseudonym))
    assert [(e["type"], e.get("request_id")) for e in found] == [
        ("request", "r1"), ("begin", "r2"), ("request", "r2"), ("admin", None),
    ]  # fmt: skip
    assert {e.get("pseudonym", e.get("ids", {}).get("pseudonym")) for e in found} == {pseudonym}
    assert "clear-name" not in json.dumps(found)
    with pytest.raises(InputError, match="no pseudonym"):
        verb("export pseudonym", "clear-name")


@pytest.mark.parametrize("by", ["pseudonym", "key", "act"])
def test_export_of_a_person_over_periods_and_keys(
    verb, directory, config, record, monkeypatch, states, by
) -> None:
    house, now = Pseudonyms(directory, config), time.time()
    for month, key in enumerate(("a1a1a1a1", "b2b2b2b2", "a1a1a1a1", "c3c3c3c3")):
        monkeypatch.setattr(time, "time", lambda at=now + month * 31 * 86400: at)
        with AuditLog(directory, config) as audit:
            audit.finish(record(f"r{month}", pseudonym=house.of(key)))
            if not month:
                first, act = house.of(key), house.of_key(key)
                audit.admin("key_created", key=act)
    who = {"pseudonym": first, "key": "b2b2b2b2", "act": act}[by]
    assert "second person" in verb("export person", who, "first")
    with pytest.raises(PolicyError):
        verb("export person", who, "rotated")
    found = lines(verb("export person", who, "second"))
    assert [e.get("request_id") for e in found if e["type"] == "request"] == ["r0", "r1", "r2"]
    assert [e["action"] for e in found if e["type"] == "admin"] == ["key_created"]
    assert [state for state, *_ in states()] == ["requested", "refused", "revealed"]
    for key in SUBJECTS:
        assert key not in json.dumps(found)


def test_export_of_a_person_wants_two(verb, pseudonym, capsys) -> None:
    with pytest.raises(ConfigError, match="BEDSIDE_API_KEY"):
        verb("export person", pseudonym)
    with pytest.raises(PolicyError, match="may not reidentify"):
        verb("export person", pseudonym, "ward")
    assert "r1" not in capsys.readouterr().out


def test_usage_tells_nothing_of_few(verb, pseudonym) -> None:
    assert "no month" in verb("usage")


def test_export_syslog_wants_a_receiver(verb, pseudonym) -> None:
    with pytest.raises(ConfigError, match=r"inference\.audit\.syslog\.host"):
        verb("export syslog")


def test_retain_tells_what_it_did(verb, pseudonym, monkeypatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 500 * 86400)
    assert verb("retain") == (
        "1 segments with 2 entries deleted, and the keys of 1 pseudonym periods\n"
    )
    assert "2 older entries were deleted, with signed tombstones" in verb("verify")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "export",
            "inference audit export: which verb? - known are: fhir, syslog, pseudonym, person",
        ),
        ("export csv", "inference audit export: unknown verb 'csv'"),
        ("retain all", "inference audit retain takes no word"),
        ("reidentify", "inference audit reidentify: PSEUDONYM is missing"),
        ("erase", "inference audit: unknown verb 'erase'"),
        ("verify a b", "inference audit verify takes [FILE], and 2 stand here"),
    ],
)
def test_other_words_are_refused(words, message, monkeypatch, capsys) -> None:
    monkeypatch.setenv("BEDSIDE_CONFIG", "none.yaml")
    assert cli.main(["inference", "audit", *words.split()]) == 2
    assert message in capsys.readouterr().err


def test_two_people_open_a_pseudonym(verb, pseudonym, read, directory, states) -> None:
    said = verb("reidentify", pseudonym, "first")
    assert "clear-name" not in said
    assert "second person" in said
    pending = directory.parent / "reidentification.json"
    assert stat.S_IMODE(pending.stat().st_mode) == 0o600
    assert "clear-name" not in pending.read_text()
    assert verb("reidentify", pseudonym, "second") == "clear-name\n"
    assert states() == [("requested", "k1", None), ("revealed", "k2", "k1")]
    assert "clear-name" not in json.dumps(read())
    # The agreement was for once.
    assert "second person" in verb("reidentify", pseudonym, "second")


def test_two_people_open_an_address_and_the_key_of_an_act(verb, directory, config) -> None:
    house = Pseudonyms(directory, config)
    for sealed, opened in (
        (house.of_address("10.9.8.7"), "address 10.9.8.7\n"),
        (house.of_key("0a1b2c3d"), "key 0a1b2c3d\n"),
    ):
        assert "second person" in verb("reidentify", sealed, "first")
        assert verb("reidentify", sealed, "second") == opened


@pytest.mark.parametrize(("key", "key_id"), [("first", "k1"), ("rotated", "k4")])
def test_one_person_is_not_two(verb, pseudonym, states, key, key_id) -> None:
    verb("reidentify", pseudonym, "first")
    with pytest.raises(PolicyError, match="a second person"):
        verb("reidentify", pseudonym, key)
    assert states()[-1] == ("refused", key_id, None)
    assert verb("reidentify", pseudonym, "second") == "clear-name\n"


@pytest.mark.parametrize(("key", "key_id"), [("ward", "k3"), ("unknown", None)])
def test_a_key_without_the_right_opens_nothing(verb, pseudonym, read, key, key_id, states) -> None:
    verb("reidentify", pseudonym, "first")
    with pytest.raises(PolicyError, match="may not reidentify"):
        verb("reidentify", pseudonym, key)
    assert states()[-1] == ("refused", key_id, None)
    assert key not in json.dumps(read())


def test_a_key_must_be_given(verb, pseudonym) -> None:
    with pytest.raises(ConfigError, match="BEDSIDE_API_KEY"):
        verb("reidentify", pseudonym)


def test_an_agreement_for_one_pseudonym_opens_no_other(
    verb, pseudonym, directory, config, states
) -> None:
    other = Pseudonyms(directory, config).of("other-name")
    verb("reidentify", pseudonym, "first")
    assert "other-name" not in verb("reidentify", other, "second")
    assert [state for state, *_ in states()] == ["requested", "requested"]


@pytest.mark.parametrize("days", [1.01, -1])
def test_after_a_day_the_first_must_ask_again(verb, pseudonym, monkeypatch, states, days) -> None:
    verb("reidentify", pseudonym, "first")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + days * 86400)
    assert "clear-name" not in verb("reidentify", pseudonym, "second")
    assert states()[-1] == ("requested", "k2", None)


def test_garbage_is_refused_before_anything_is_pending(verb, pseudonym, directory) -> None:
    with pytest.raises(InputError, match="no pseudonym of this house"):
        verb("reidentify", "1.AAAA", "first")
    assert not (directory.parent / "reidentification.json").exists()


def test_what_cannot_be_recorded_is_not_revealed(
    verb, pseudonym, monkeypatch, capsys, directory
) -> None:
    verb("reidentify", pseudonym, "first")
    append = AuditLog.write

    def fail(self: AuditLog, kind: str, **members: object) -> int:
        if kind == "reidentification":
            raise AuditError("full")
        return append(self, kind, **members)

    monkeypatch.setattr(AuditLog, "write", fail)
    with pytest.raises(AuditError):
        verb("reidentify", pseudonym, "second")
    assert "clear-name" not in capsys.readouterr().out
    monkeypatch.undo()


def test_a_damaged_pending_file_reveals_nothing(verb, pseudonym, directory) -> None:
    verb("reidentify", pseudonym, "first")
    (directory.parent / "reidentification.json").write_text("{")
    with pytest.raises(AuditError, match="remove it"):
        verb("reidentify", pseudonym, "second")
