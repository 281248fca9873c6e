"""A house of version 0.1 taken over: no promotion, no evidence and no key is lost."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bedside_core import cli
from bedside_core.errors import ArtifactError
from bedside_core.kinds.evidence import DOMAIN
from bedside_core.registry import adoption
from bedside_core.registry.registry import Registry
from bedside_core.registry.signed_log import Writing

TIMES = ("2026-11-01T10:00:00Z", "2026-11-02T10:00:00.123456Z", "2026-11-03T10:00:00Z")


def bedside(*words: str) -> int:
    return cli.main(["registry", *words])


@pytest.fixture
def old(registry, put, monkeypatch) -> list[dict[str, str]]:
    """The lines of a log of 0.1 whose key, signatures and log are as that version left them."""
    monkeypatch.setenv("BEDSIDE_HOME", str(registry.home))
    seen = registry.operator_keys.private_path.with_suffix(".seen")
    for path in (registry.log.path, registry.log.head_path, registry.pin.path, seen):
        path.unlink()
    for keys in (registry.operator_keys, registry.publisher_keys):
        keys.private_path.unlink()
        keys.public_path.unlink()
    private = load_pem_private_key(registry.evidence_keys.private_path.read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey)
    base, models = put("base"), [put("merged", files={"w": bytes([n])}) for n in range(2)]
    evidence = []
    for model in models:
        body = {"candidate": model.digest, "base": base.digest, "verdict": "PROMOTE",
                "reasons": ["medical_de improved"], "items": [1, 2]}  # fmt: skip
        bare = base64.b64encode(private.sign(DOMAIN + json.dumps(body).encode())) + b"\n"
        files = {"evidence.json": json.dumps(body).encode(), "evidence.sig": bare}
        evidence.append(put("evidence", files=files, parents={"candidate": model, "base": base}))
    lines = [
        {"time": time, "action": action, "model": models[n].digest, "evidence": evidence[n].digest}
        for time, action, n in zip(
            TIMES, ("promote", "promote", "rollback"), (0, 1, 0), strict=True
        )
    ]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (registry.home / "promotions.jsonl").write_text(text)
    for half in ("pem", "pub"):
        (registry.home / "keys" / f"evidence.{half}").rename(
            registry.home / "keys" / f"signing.{half}"
        )
    return lines


@pytest.mark.parametrize("gone", ["promotions.jsonl", "keys/signing.pub", None])
def test_until_then_every_verb_says_what_to_do(registry, old, capsys, gone) -> None:
    if gone:
        (registry.home / gone).unlink()
    for words in (("rollback", "--reason", "x"), ("promote", old[0]["evidence"]), ("list",)):
        assert bedside(*words) == 4
        assert "is of Bedside 0.1 - run `bedside registry adopt`" in capsys.readouterr().err
    assert not registry.log.path.exists()
    assert not registry.operator_keys.public_path.exists()


def test_nothing_is_lost(registry, old, capsys) -> None:
    private = (registry.home / "keys" / "signing.pem").read_bytes()
    assert bedside("adopt") == 0
    said = capsys.readouterr().out
    assert "adopted: 3 promotions" in said
    ring = registry.keyring()
    assert f"{ring['operator'].fingerprint}, pinned by {registry.pin.path}" in said
    assert registry.pin.read() == ring["operator"].fingerprint
    found = [
        (entry.time.isoformat(), entry.action, entry.model, entry.evidence)
        for entry in registry.promotions()
    ]
    assert found == [
        (line["time"].replace("Z", "+00:00"), line["action"], line["model"], line["evidence"])
        for line in old
    ]
    assert registry.entries()[-1].type == "adopt"
    assert registry.evidence_keys.private_path.read_bytes() == private
    assert (registry.home / "promotions-0.1.jsonl").exists()
    assert bedside("verify") == 0
    # What 0.1 signed was one file, without report, time or plan: it is history, and no proof.
    with pytest.raises(ArtifactError, match="run the evaluation again"):
        registry.promote(registry.get(old[1]["evidence"]), again="tried")


def test_again_and_elsewhere_it_changes_nothing(registry, old, capsys) -> None:
    assert bedside("adopt") == 0
    before = registry.log.path.read_bytes()
    assert bedside("adopt") == 0
    assert "nothing of an earlier version here" in capsys.readouterr().out
    assert registry.log.path.read_bytes() == before


@pytest.mark.parametrize("after", [1, 2, 3, 4, 5])
def test_killed_in_between_it_goes_on(registry, old, monkeypatch, after) -> None:
    real, count = Writing._append, []

    class Killed(BaseException):
        pass

    def append(self, *arguments):
        done = real(self, *arguments)
        count.append(1)
        if len(count) == after:
            raise Killed
        return done

    monkeypatch.setattr(Writing, "_append", append)
    with pytest.raises(Killed):
        adoption.adopt(registry)
    monkeypatch.undo()
    adoption.adopt(registry)
    assert [entry.action for entry in registry.promotions()] == ["promote", "promote", "rollback"]
    assert [entry.type for entry in registry.entries()].count("adopt") == 1


def test_the_private_key_kept_apart(registry, old, tmp_path: Path) -> None:
    apart = tmp_path / "apart"
    apart.mkdir()
    (registry.home / "keys" / "signing.pem").rename(apart / "signing.pem")
    house = Registry(registry.home, evidence_key=apart / "evidence.pem")
    adoption.adopt(house)
    assert [path.name for path in apart.iterdir()] == ["evidence.pem"]
    house.evidence_keys.make()


@pytest.mark.parametrize("line", [b"SECRET\n", b'{"action":"promote"}\n', b"[]\n"])
def test_a_damaged_log_is_not_adopted(registry, old, line) -> None:
    with (registry.home / "promotions.jsonl").open("ab") as file:
        file.write(line)
    with pytest.raises(ArtifactError, match="is not a promotion record") as error:
        adoption.adopt(registry)
    assert "SECRET" not in str(error.value)
    assert (registry.home / "keys" / "signing.pub").exists()


def test_a_torn_last_line_was_never_written(registry, old) -> None:
    with (registry.home / "promotions.jsonl").open("ab") as file:
        file.write(b'{"action":"pro')
    adoption.adopt(registry)
    assert len(registry.promotions()) == 3


def test_two_keys_are_not_guessed_between(registry, old) -> None:
    (registry.home / "keys" / "evidence.pub").write_text("another")
    with pytest.raises(ArtifactError, match="are both there"):
        adoption.adopt(registry)
