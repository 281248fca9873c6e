"""A house's keys and pin: made once, on purpose, whole; and no other house passes for it."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from bedside_core import cli
from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError, ConfigError
from bedside_core.registry import removal
from bedside_core.registry.house import found, rotate
from bedside_core.registry.pin import Pin
from bedside_core.registry.registry import Registry
from bedside_core.registry.signed_log import Writing
from bedside_core.signing import KeyPair

ROLES = ("operator", "evidence", "publisher")
WHY = "the yearly change"


def bedside(*words: str) -> int:
    return cli.main(["registry", *words])


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    for name in ("EVIDENCE_KEY", "OPERATOR_KEY", "PIN", "PIN_FILE"):
        monkeypatch.delenv(f"BEDSIDE_{name}", raising=False)
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    return Registry(tmp_path / "home")


@pytest.fixture
def whole(fresh: Registry) -> Registry:
    found(fresh)
    return fresh


def add(registry: Registry, kind: str = "plan") -> None:
    with registry.log.writing() as log:
        log.add(kind, {"n": 1})


# --- init ------------------------------------------------------------------------------------


def test_init_makes_keys_log_and_pin_and_says_the_fingerprint(fresh, capsys) -> None:
    assert bedside("init") == 0
    said = capsys.readouterr().out
    (entry,) = fresh.entries()
    assert entry.type == "keys"
    fingerprint = fresh.keyring()["operator"].fingerprint
    assert fingerprint in said
    assert str(fresh.pin.path) in said
    assert fresh.pin.path == fresh.home.with_name("home.pin")
    assert fresh.pin.read() == fingerprint
    assert sorted(path.name for path in (fresh.home / "keys").iterdir()) == sorted(
        ["operator.seen", *(f"{role}.{half}" for role in ROLES for half in ("pem", "pub"))]
    )


def test_init_again_says_the_same_and_changes_nothing(whole, capsys, content_of) -> None:
    before = content_of(whole.home.parent)
    assert bedside("init") == 0
    assert whole.keyring()["operator"].fingerprint in capsys.readouterr().out
    assert content_of(whole.home.parent) == before


def test_the_demos_policy_is_approved_at_the_beginning_alone(
    fresh, tmp_path, make_policy, capsys
) -> None:
    files = {}
    for scope in ("demo", "house"):
        files[scope] = tmp_path / f"{scope}.yaml"
        files[scope].write_text(json.dumps(make_policy(scope=scope).model_dump(mode="json")))
    assert bedside("init", str(files["house"])) == 2
    assert "is not the demo's - a person reads it and approves it" in capsys.readouterr().err
    assert not fresh.home.exists()
    found(fresh)  # killed before the approval
    for _ in range(2):
        assert bedside("init", str(files["demo"])) == 0
        assert [entry.type for entry in fresh.entries()] == ["keys", "approve-policy"]
    removal.withdraw(fresh, make_policy(scope="demo").sha256, "no demo here")
    assert bedside("init", str(files["demo"])) == 0
    assert fresh.ledger().approvals == {}


@pytest.mark.parametrize(
    "words", [("rollback",), ("list",), ("log",), ("gc", "--apply"), ("keys",)]
)
def test_no_other_verb_makes_a_key(fresh, words) -> None:
    bedside(*words)
    assert not fresh.home.exists()
    assert not fresh.pin.path.exists()


def test_no_step_begins_without_keys(fresh) -> None:
    with pytest.raises(ArtifactError, match="has no keys yet - make them, once, with `bedside reg"):
        fresh.refuse_unfounded()


def test_artifacts_without_a_log_are_no_new_house(fresh, put, capsys) -> None:
    put("base")
    shutil.rmtree(fresh.home / "keys")
    for path in (fresh.log.path, fresh.log.head_path, fresh.pin.path):
        path.unlink()
    assert bedside("init") == 4
    assert "its log or keys are not - restore them from a backup" in capsys.readouterr().err
    assert not (fresh.home / "keys").exists()


@pytest.mark.parametrize("role", ROLES)
def test_a_public_half_without_its_key_is_no_new_house(fresh, role, capsys) -> None:
    found(fresh)
    seen = fresh.home / "keys" / "operator.seen"
    for path in (fresh.log.path, fresh.log.head_path, fresh.pin.path, seen):
        path.unlink()
    (fresh.home / "keys" / f"{role}.pem").unlink()
    assert bedside("init") == 4
    assert f"{role}.pub of a house is here" in capsys.readouterr().err


@pytest.mark.parametrize("role", ROLES)
def test_a_private_key_that_is_gone_is_never_made_anew(whole, role, capsys) -> None:
    path = whole.home / "keys" / f"{role}.pem"
    path.unlink()
    assert bedside("init") == 4
    assert f"{path} is missing - restore it from a backup" in capsys.readouterr().err
    if role != "publisher":
        with pytest.raises(ArtifactError, match="is missing"):
            add(whole, "look" if role == "evidence" else "plan")
    assert not path.exists()


@pytest.mark.parametrize("role", ["operator", "evidence"])
def test_both_halves_of_a_key_replaced(whole, role, tmp_path) -> None:
    """What the thief signs is not the house's, whatever lies in `keys`."""
    thief = Registry(tmp_path / "thief")
    found(thief)
    for half in ("pem", "pub"):
        shutil.copy(thief.home / "keys" / f"{role}.{half}", whole.home / "keys")
    with pytest.raises(ArtifactError, match=f"and the house's {role} key is"):
        add(whole, "look" if role == "evidence" else "plan")
    with pytest.raises(ArtifactError, match="holds the key"):
        found(whole)
    assert len(whole.entries()) == 1


def test_log_head_and_keys_of_another_house(whole, tmp_path) -> None:
    thief = Registry(tmp_path / "thief")
    found(thief)
    add(thief)
    shutil.rmtree(whole.home)
    shutil.copytree(thief.home, whole.home)
    for read in (whole.entries, whole.keyring, whole.current, lambda: found(whole)):
        with pytest.raises(ArtifactError, match=r"pins the operator key .* only if those who run"):
            read()


def test_a_log_that_is_gone_while_the_pin_is_there(whole, capsys) -> None:
    shutil.rmtree(whole.home)
    with pytest.raises(ArtifactError, match=r"pins a house, and .* holds none - restore"):
        whole.current()
    assert bedside("init") == 4
    assert "pins a house" in capsys.readouterr().err
    assert not whole.home.exists()


def test_a_pin_that_is_gone_while_the_log_is_there(whole, capsys) -> None:
    add(whole)
    fingerprint = whole.keyring()["operator"].fingerprint
    whole.pin.path.unlink()
    for words in (("log",), ("init",), ("rotate", "evidence", "--reason", WHY)):
        assert bedside(*words) == 4
        said = capsys.readouterr().err
        assert "is not pinned" in said
        assert fingerprint in said
    assert not whole.pin.path.exists()


def test_init_finishes_what_a_kill_left_before_the_pin(whole) -> None:
    whole.pin.path.unlink()
    assert found(whole)
    assert whole.pin.read() == whole.keyring()["operator"].fingerprint


class Killed(BaseException):
    """As kill -9 would end the process."""


STEPS = {
    "after the first key": (KeyPair, "make", 1),
    "after the keys": (KeyPair, "make", 3),
    "after the entry": (Writing, "_append", 1),
    "before the pin": (Pin, "read", 2),
}


@pytest.mark.parametrize("step", STEPS)
def test_init_killed_anywhere_goes_on(fresh, monkeypatch, step) -> None:
    with killed(monkeypatch, *STEPS[step]), pytest.raises(Killed):
        found(fresh)
    monkeypatch.undo()
    assert found(fresh)
    assert not found(fresh)
    assert [entry.type for entry in fresh.entries()] == ["keys"]


class killed:  # noqa: N801 - reads as a statement
    """The n-th call of a method is the last thing that happens."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: type, name: str, number: int) -> None:
        real, count = getattr(owner, name), iter(range(1, 1000))

        def method(*arguments: object, **named: object) -> object:
            done = real(*arguments, **named)
            if next(count) == number:
                raise Killed
            return done

        patch.setattr(owner, name, method)

    def __enter__(self) -> None:
        """Patched already."""

    def __exit__(self, *_: object) -> None:
        """Undone by who patched."""


INIT = """
import sys
from pathlib import Path
from bedside_core.registry import removal
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
registry = Registry(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(found(registry), registry.keyring()["operator"].id, flush=True)
"""


def test_two_inits_at_once_make_one_house(fresh, start) -> None:
    processes = [start(INIT, fresh.home) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[0].split() for process in processes]
    assert sorted(new for new, _ in said) == ["False", "False", "True"]
    assert {key for _, key in said} == {fresh.keyring()["operator"].id}


def test_kill_9_in_the_middle_of_init(fresh, start) -> None:
    process = start(INIT, fresh.home)
    process.stdout.readline()
    process.stdin.write("go\n")
    process.stdin.flush()
    process.send_signal(signal.SIGKILL)
    process.wait()
    found(fresh)
    assert len(fresh.entries()) == 1


# --- the pin, said in other ways -------------------------------------------------------------


def test_a_given_fingerprint_wins_and_nothing_is_made_for_it(whole, monkeypatch, capsys) -> None:
    ours = whole.keyring()["operator"].fingerprint
    whole.pin.path.unlink()
    monkeypatch.setenv("BEDSIDE_PIN", ours)
    (whole.home / "keys" / "operator.pem").unlink()  # of a machine that only reads
    assert bedside("init") == bedside("log") == 0
    assert "pinned by BEDSIDE_PIN" in capsys.readouterr().out
    monkeypatch.setenv("BEDSIDE_PIN_FILE", str(whole.pin.path))  # for who reads that alone
    assert bedside("init") == 0
    assert whole.pin.read() == ours
    monkeypatch.setenv("BEDSIDE_PIN", "0" * 64)
    assert bedside("init") == 4
    assert whole.pin.read() == ours
    assert bedside("log") == 4
    assert f"set BEDSIDE_PIN={ours}" in capsys.readouterr().err
    shutil.rmtree(whole.home)
    assert bedside("init") == 4
    assert not whole.home.exists()


@pytest.mark.parametrize("value", ["0" * 63, "G" * 64, "A" * 64, "0" * 64 + " "])
def test_a_given_value_that_is_no_fingerprint(fresh, monkeypatch, value, capsys) -> None:
    monkeypatch.setenv("BEDSIDE_PIN", value)
    assert bedside("log") == 2
    assert "BEDSIDE_PIN: not a fingerprint" in capsys.readouterr().err


def test_a_pin_in_a_place_of_its_own(fresh, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("BEDSIDE_PIN_FILE", str(tmp_path / "elsewhere" / "pin"))
    assert bedside("init") == bedside("log") == 0
    assert not fresh.pin.path.exists()
    (tmp_path / "elsewhere" / "pin").write_text("garbage")
    assert bedside("log") == 4


# --- rotate ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("role", ROLES)
def test_a_new_key_takes_over(whole, role, lost) -> None:
    add(whole)
    before = whole.keyring()
    rotate(whole, role, WHY, lost=lost)
    after = whole.keyring()
    assert after[role].id != before[role].id
    assert [after[other].id for other in ROLES if other != role] == [
        before[other].id for other in ROLES if other != role
    ]
    (former,) = after.former
    assert (former.role, former.id) == (role, before[role].id)
    assert former.replaced is not None
    assert (former.replaced.lost, former.replaced.reason) == (lost, WHY)
    assert whole.pin.read() == after["operator"].fingerprint
    assert len(list((whole.home / "keys").glob("*.p*"))) == 6
    add(whole)
    add(whole, "look")
    assert not found(whole)


def test_rotated_by_the_command_and_shown(whole, capsys) -> None:
    assert bedside("rotate", "evidence", "--lost", "--reason", "disk stolen") == 0
    assert bedside("rotate", "operator", "--reason", WHY) == 0
    capsys.readouterr()
    assert bedside("keys") == 0
    said = capsys.readouterr().out
    assert "disk stolen" in said
    assert said.count("current") == 3
    assert f"{whole.pin.path} pins this operator key" in said


def test_what_is_no_key_or_has_no_reason(whole) -> None:
    with pytest.raises(ArtifactError, match="there is no key 'audit'"):
        rotate(whole, "audit", WHY, lost=False)
    with pytest.raises(ConfigError, match="the reason must be"):
        rotate(whole, "operator", " ", lost=False)


def test_a_house_without_keys_rotates_none(fresh) -> None:
    with pytest.raises(ArtifactError, match="`bedside registry init`"):
        rotate(fresh, "operator", WHY, lost=True)
    assert not (fresh.home / "keys").exists()


@pytest.mark.parametrize("role", ROLES)
def test_a_key_that_is_gone_is_replaced_only_when_called_lost(whole, role) -> None:
    (whole.home / "keys" / f"{role}.pem").unlink()
    with pytest.raises(ArtifactError, match="or say `--lost`"):
        rotate(whole, role, WHY, lost=False)
    rotate(whole, role, WHY, lost=True)
    assert not found(whole)


def test_who_pins_the_former_key_refuses_and_says_how_to_pin_the_new_one(whole, tmp_path) -> None:
    reader = Registry(whole.home, pin=Pin(tmp_path / "reader.pin"))
    reader.pin.write(whole.keyring()["operator"].fingerprint)
    rotate(whole, "operator", WHY, lost=False)
    new = whole.keyring()["operator"].fingerprint
    with pytest.raises(ArtifactError, match=f"pin it: echo {new} > {reader.pin.path}"):
        reader.entries()
    reader.pin.write(new)
    assert len(reader.entries()) == 2


def test_a_former_operator_key_writes_nothing_more(whole, tmp_path) -> None:
    shutil.copytree(whole.home / "keys", tmp_path / "stolen")
    rotate(whole, "operator", WHY, lost=True)
    thief = Registry(whole.home, operator_key=tmp_path / "stolen" / "operator.pem")
    (whole.home / "keys" / "operator.pub").unlink()
    with pytest.raises(ArtifactError, match="and the house's operator key is"):
        add(thief)


def test_a_thief_of_the_registry_cannot_announce_a_key_of_his_own(whole, tmp_path) -> None:
    """An entry without the former key's word passes as a loss, and the pin stops it."""
    before = whole.log.path.read_bytes(), whole.log.head_path.read_bytes()
    thief = Registry(whole.home, operator_key=tmp_path / "operator.pem", pin=Pin(tmp_path / "p"))
    thief.pin.write(whole.keyring()["operator"].fingerprint)
    rotate(thief, "operator", WHY, lost=True)
    with pytest.raises(ArtifactError, match="pins the operator key"):
        whole.entries()
    whole.log.path.write_bytes(before[0])
    whole.log.head_path.write_bytes(before[1])
    assert len(whole.entries()) == 1


TURNS = {
    "after the successor": (KeyPair, "make", 1),
    "after the entry": (Writing, "_append", 1),
    "before the pin": (KeyPair, "replace", 1),
}


@pytest.mark.parametrize(
    ("step", "role"),
    [(step, role) for step in TURNS for role in ROLES if step != "before the pin"]
    + [("before the pin", "operator")],
)
def test_rotate_killed_anywhere_goes_on(whole, monkeypatch, role, step) -> None:
    add(whole)
    with killed(monkeypatch, *TURNS[step]), pytest.raises(Killed):
        rotate(whole, role, WHY, lost=False)
    monkeypatch.undo()
    rotate(whole, role, WHY, lost=False)
    assert [entry.type for entry in whole.entries()] == ["keys", "plan", "keys"]
    assert len(list((whole.home / "keys").glob("*.p*"))) == 6
    add(whole)
    assert not found(whole)


def test_between_entry_and_key_nothing_is_signed_with_the_former_one(whole, monkeypatch) -> None:
    with killed(monkeypatch, Writing, "_append", 1), pytest.raises(Killed):
        rotate(whole, "evidence", WHY, lost=False)
    monkeypatch.undo()
    with pytest.raises(ArtifactError, match="if a rotation was interrupted, run its command again"):
        add(whole, "look")


def test_a_pin_that_cannot_be_moved_stops_the_rotation_before_the_log(whole, monkeypatch) -> None:
    def refuse(self: Pin, fingerprint: str) -> None:
        raise ArtifactError("no right to write home.pin")

    monkeypatch.setattr(Pin, "write", refuse)
    with pytest.raises(ArtifactError, match="no right to write"):
        rotate(whole, "operator", WHY, lost=False)
    assert len(whole.entries()) == 1


def test_keys_are_shown_where_the_pin_does_not_agree(whole, capsys) -> None:
    whole.pin.write("0" * 64)
    assert bedside("keys") == 4
    said = capsys.readouterr()
    assert whole.log.read(pinned=False).ring["operator"].fingerprint in said.out
    assert "pins the operator key 0000000000000000" in said.err


# --- evidence --------------------------------------------------------------------------------


@pytest.fixture
def line(whole: Registry, chain: dict[str, Artifact]) -> Artifact:
    return chain["evidence"]


def test_evidence_of_a_replaced_key_still_counts(whole, line) -> None:
    """It was made as then was right; the log has the key."""
    rotate(whole, "evidence", WHY, lost=False)
    assert whole.check_promotable(line).kind == "merged"


def test_evidence_of_a_lost_key_does_not(whole, line) -> None:
    whole.promote(line)
    rotate(whole, "evidence", "disk stolen", lost=True)
    with pytest.raises(ArtifactError, match=r"was reported lost on .*: disk stolen - run the eval"):
        whole.check_promotable(line)


def test_public_halves_are_copies_that_nobody_trusts(whole, line) -> None:
    for role in ROLES:
        (whole.home / "keys" / f"{role}.pub").unlink()
    assert whole.check_promotable(line).kind == "merged"
