"""`keys create --csv`: all or none, each row's faults by its line, secrets handed out once."""

from __future__ import annotations

import csv
import io
import json
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bedside_core import cli
from bedside_core.errors import ArtifactError
from bedside_inference.audit.journal import AuditLog
from bedside_inference.config import StateConfig
from bedside_inference.state.records import Key, Scope
from bedside_inference.state.store import Store

GERMAN = """\
holder;label;department;priority;purpose;models;requests_per_minute;tokens_per_minute;reidentify;days
Dr. Jana Weiß;Visite;Innere Medizin;ward;TREAT;demo;60;20000;yes;90

Erik Groß;;"Notaufnahme; Haus 3";emergency;;;;;;
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Run `keys create` in a directory of its own; returns what it printed."""
    (tmp_path / "run.yaml").write_text("name: demo\ninference: {model_name: demo}\n")
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEDSIDE_CONFIG", str(tmp_path / "run.yaml"))
    monkeypatch.chdir(tmp_path)

    def run(table: str | bytes, *words: str, code: int = 0) -> tuple[str, str]:
        raw = table if isinstance(table, bytes) else table.encode()
        (tmp_path / "staff.csv").write_bytes(raw)
        assert cli.main(["inference", "keys", "create", "--csv", "staff.csv", *words]) == code
        printed = capsys.readouterr()
        return printed.out, printed.err

    return run


def made(tmp_path: Path) -> list[Key]:
    with closing(Store.open(StateConfig(), tmp_path / "home")) as store:
        return list(store.snapshot().keys.values())


def handed(text: str) -> dict[str, dict[str, str]]:
    return {row["holder"]: row for row in csv.DictReader(io.StringIO(text))}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_of_a_german_spreadsheet(call, tmp_path, mark, end) -> None:
    out, err = call(mark + GERMAN.replace("\n", end).encode(), "--days", "30")
    found = handed(out)
    kept = {key.holder: key for key in made(tmp_path)}
    assert list(found) == ["Dr. Jana Weiß", "Erik Groß"]
    assert kept["Dr. Jana Weiß"].scope == Scope(
        holder="Dr. Jana Weiß", label="Visite", department="Innere Medizin", models=("demo",),
        requests_per_minute=60, tokens_per_minute=20000, reidentify=True,
    )  # fmt: skip
    assert kept["Erik Groß"].scope == Scope(
        holder="Erik Groß", department="Notaufnahme; Haus 3", priority="emergency"
    )
    days = {holder: (key.expires - key.created).days for holder, key in kept.items()}
    assert days == {"Dr. Jana Weiß": 90, "Erik Groß": 30}
    with closing(Store.open(StateConfig(), tmp_path / "home")) as store:
        for holder, row in found.items():
            principal = store.snapshot().find(row["key"], datetime.now(UTC) + timedelta(days=1))
            assert principal and principal.key_id == row["id"] == kept[holder].id
    assert not [name for name in ("Weiß", "Groß", "bsk-") if name in err]


def test_the_keys_go_into_a_new_file_that_only_its_owner_reads(call, tmp_path) -> None:
    out, _ = call(GERMAN, "--output", "keys.csv")
    path = tmp_path / "keys.csv"
    assert out == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [row["key"][:4] for row in handed(path.read_text()).values()] == ["bsk-"] * 2
    before = path.read_bytes()
    _, err = call(GERMAN, "--output", "keys.csv", code=3)
    assert "is there already" in err
    assert (path.read_bytes(), len(made(tmp_path))) == (before, 2)


def test_each_key_is_on_record_in_one_signed_piece(call, tmp_path) -> None:
    call("holder\n" + "".join(f"Person {number}\n" for number in range(40)))
    entries = [
        json.loads(line)
        for path in (tmp_path / "home" / "gateway" / "audit").glob("segment-*")
        for line in path.read_bytes().splitlines()
    ]
    assert [entry["type"] for entry in entries] == ["admin"] * 40 + ["checkpoint"]
    assert {entry["action"] for entry in entries[:-1]} == {"key_created"}
    assert len({entry["ids"]["key"] for entry in entries[:-1]}) == 40


def test_one_wrong_row_makes_none_and_each_is_named(call, tmp_path) -> None:
    table = (
        "holder,priority,models,days,reidentify\n"
        "Jana Weiß,ward,demo,90,\n"
        "Erik Meier,vip,demo,90,\n"
        ",ward,dmeo,0,\n"
        "Uta Meier,ward,demo,90,,,\n"
        ",ward,demo,90,yes\n"
    )
    out, err = call(table, code=3)
    for told in (
        "staff.csv line 3: priority: must be one of",
        "staff.csv line 4: days: must be at least 1",
        "staff.csv line 5: has 7 cells for 5 columns",
        "staff.csv line 6: reidentify: needs a holder",
        "no key was made",
    ):
        assert told in err
    assert "Meier" not in err
    assert (out, made(tmp_path)) == ("", [])
    _, err = call("holder,models\nJana Weiß,demo dmeo\n", code=3)
    assert "line 2: 'dmeo' is no model of this house - did you mean demo?" in err
    assert made(tmp_path) == []


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("", "asks for no key"),
        ("holder,label\n", "asks for no key"),
        ("holder,departement\nA,b\n", "column 2 has an unknown name - did you mean department?"),
        ("holder,holder\nA,B\n", "line 1: holder stands there twice"),
        ('holder\n"Jana\n', "is not CSV"),
        ("holder\n" + "A\n" * 10_001, "more than 10000 lines"),
        ("holder\nJörg\n".encode("latin-1"), "is not in UTF-8"),
    ],
)
def test_what_is_no_table(call, tmp_path, table, told) -> None:
    _, err = call(table, code=3)
    assert told in err
    assert made(tmp_path) == []


def test_a_table_that_is_not_there(call, tmp_path) -> None:
    _, err = call(GERMAN, "--csv", "nix.csv", code=3)
    assert "nix.csv: cannot be read (No such file or directory)" in err


def test_what_cannot_be_recorded_is_neither_made_nor_handed_out(
    call, tmp_path, monkeypatch
) -> None:
    admin, written = AuditLog.admin, []

    def refuse(self: AuditLog, action: str, **ids: str | int) -> None:
        if written:
            raise ArtifactError("no space left - make room")
        written.append(action)
        admin(self, action, **ids)

    monkeypatch.setattr(AuditLog, "admin", refuse)
    call(GERMAN, "--output", "keys.csv", code=4)
    assert made(tmp_path) == []
    assert not (tmp_path / "keys.csv").exists()
