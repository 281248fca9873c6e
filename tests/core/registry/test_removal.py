"""Deleting and collecting: only what nothing needs, with an entry that proves it."""

from __future__ import annotations

import contextlib
import os
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from bedside_core import cli
from bedside_core.errors import PolicyError
from bedside_core.registry import removal
from bedside_core.registry.registry import Registry

WHY = "erasure request"
LATER = datetime.now(UTC) + timedelta(days=2)


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(registry.home))


def bedside(*words: str) -> int:
    return cli.main(["registry", *words])


# --- delete ----------------------------------------------------------------------------------


def test_the_files_go_and_the_entry_stays(registry, put, capsys):
    corpus = put("corpus", facts={"sources": [{"name": "letters"}, {"name": "atlas"}]})
    other = put("base")
    registry.set_slot("demo", "corpus", corpus.digest)
    registry.set_slot("demo", "base", other.digest)
    assert bedside("delete", "demo/corpus", "--reason", WHY) == 0
    assert f"deleted {corpus.digest}" in capsys.readouterr().out
    assert not corpus.path.exists()
    assert list((registry.home / "tmp").iterdir()) == []
    assert dict(registry.slots()) == {"demo/base": other.digest}
    entry = registry.entries()[-1]
    assert {k: entry.members[k] for k in ("digest", "kind", "bytes", "sources", "reason")} == {
        "digest": corpus.digest, "kind": "corpus", "bytes": 1000,
        "sources": ["atlas", "letters"], "reason": WHY,
    }  # fmt: skip
    assert entry.members["by"]
    assert bedside("log") == 0
    assert f"digest={corpus.digest} " in capsys.readouterr().out
    assert bedside("verify") == 0


def test_what_is_needed_is_not_deleted(registry, chain, capsys, content_of):
    registry.promote(chain["evidence"])
    before = content_of(registry.home)
    needed = {
        "corpus": [chain["checkpoint"]],
        "checkpoint": [chain["merged"]],
        "merged": [chain["evidence"]],
        "base": [chain["checkpoint"], chain["merged"], chain["evidence"]],
    }
    for kind, by in needed.items():
        assert bedside("delete", chain[kind].digest, "--reason", WHY) == 5
        said = capsys.readouterr().err
        assert all(f"{a.kind} {a.digest[:12]}" in said for a in by)
    assert bedside("delete", chain["evidence"].digest, "--reason", WHY) == 5
    assert "the promotion that stands" in capsys.readouterr().err
    assert bedside("delete", "f" * 64, "--reason", WHY) == 4
    assert content_of(registry.home) == before


def test_a_withdrawn_model_that_is_promoted_can_be_erased(registry, chain):
    """The first model of a house: there is none to roll back to, and the files must go."""
    registry.promote(chain["evidence"])
    removal.withdraw(registry, "letters", WHY)
    for kind in ("evidence", "merged", "checkpoint", "corpus"):
        removal.delete(registry, chain[kind].digest, WHY)
    assert [a.kind for a in registry.artifacts()] == ["base"]
    with pytest.raises(PolicyError, match="source letters was withdrawn"):
        registry.refuse_withdrawn("the promoted model", registry.current().model)
    assert bedside("list") == bedside("verify") == 0


def test_from_the_end_of_the_line_everything_can_be_deleted(registry, chain):
    for kind in ("evidence", "merged", "checkpoint", "corpus", "base"):
        removal.delete(registry, chain[kind].digest, WHY)
    assert registry.artifacts() == []
    assert [entry.type for entry in registry.entries()][-5:] == ["delete"] * 5


def test_killed_after_the_entry_the_same_command_finishes(registry, put, monkeypatch, capsys):
    corpus = put("corpus")

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(removal, "_remove_artifact", kill)
    with pytest.raises(Killed):
        removal.delete(registry, corpus.digest, WHY)
    monkeypatch.undo()
    monkeypatch.setenv("BEDSIDE_HOME", str(registry.home))
    assert bedside("verify") == 4
    assert f"{corpus.digest[:12]} was deleted, and its files are here" in capsys.readouterr().err
    assert bedside("delete", corpus.digest, "--reason", WHY) == 0
    assert [entry.type for entry in registry.entries()] == ["keys", "delete"]
    assert bedside("verify") == 0


def test_a_deleted_artifact_that_a_backup_brings_back_is_told(registry, put, tmp_path, capsys):
    corpus = put("corpus")
    shutil.copytree(corpus.path, tmp_path / "backup")
    removal.delete(registry, corpus.digest, WHY)
    shutil.copytree(tmp_path / "backup", corpus.path)
    assert bedside("verify") == 4
    assert "was deleted, and its files are here" in capsys.readouterr().err


def test_a_full_disk_deletes_nothing_without_an_entry(small_disk, registry, put):
    corpus = put("corpus")
    small = Registry(small_disk / "home")
    shutil.copytree(registry.home, small.home)
    shutil.copy(registry.pin.path, small.pin.path)
    with (small_disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    with contextlib.suppress(Exception):
        removal.delete(small, corpus.digest, WHY)
    logged = any(entry.type == "delete" for entry in small.entries())
    assert logged or (small.store / corpus.digest).exists()


# --- gc --------------------------------------------------------------------------------------


@pytest.fixture
def house(registry, chain, put, judge):
    """A promoted line, a run's slots, and two models that nothing needs."""
    registry.promote(chain["evidence"])
    used = put("checkpoint", files={"u": b"1"}, parents={"base": put("base", files={"b": b"2"})})
    registry.set_slot("other", "checkpoint", used.digest)
    loose = put("merged", files={"l": b"1" * 500}, parents={"checkpoint": used})
    judged = judge(loose, chain["base"], "REJECT")
    return registry, {loose.digest, judged.digest}


def digests(found):
    return [piece.artifact.digest for piece in found if piece.artifact is not None]


def test_only_what_nothing_needs_is_garbage(house):
    registry, loose = house
    assert set(digests(removal.garbage(registry, LATER))) == loose
    assert removal.garbage(registry, datetime.now(UTC)) == []  # written today: may be named soon


def test_a_dry_run_changes_nothing(house, capsys, monkeypatch, content_of):
    registry, loose = house
    monkeypatch.setattr(removal, "YOUNG", timedelta(0))
    before = content_of(registry.home)
    assert bedside("gc") == 0
    text = capsys.readouterr().out
    assert all(digest[:12] in text for digest in loose)
    assert "2 pieces, 0.0 MB: would be removed - `bedside registry gc --apply`" in text
    assert content_of(registry.home) == before


def test_each_removal_leaves_an_entry(house, capsys, monkeypatch, content_of):
    registry, loose = house
    monkeypatch.setattr(removal, "YOUNG", timedelta(0))
    assert bedside("gc", "--apply") == 0
    assert "2 pieces, 0.0 MB: removed" in capsys.readouterr().out
    assert not any((registry.store / digest).exists() for digest in loose)
    entries = [entry for entry in registry.entries() if entry.type == "gc"]
    assert {entry.members["digest"] for entry in entries} == loose
    for artifact in registry.artifacts():
        assert list(registry.ancestors(artifact))  # every line is still whole
    assert registry.check_promotable(registry.get(registry.current().evidence))
    before = content_of(registry.home)
    assert bedside("gc", "--apply") == 0
    assert "nothing that is not needed" in capsys.readouterr().out
    assert content_of(registry.home) == before


def test_every_promotion_can_still_be_rolled_back_to(registry, put, judge):
    base = put("base")
    models = [put("merged", files={"w": bytes([n])}, parents={"base": base}) for n in range(2)]
    for model in models:
        registry.promote(judge(model, base))
    assert removal.collect(registry, LATER) == []
    assert registry.rollback("worse").model == models[0].digest


def old(path, days):
    for item in (*path.rglob("*"), path):
        then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        os.utime(item, (then, then))


def test_stale_state_goes_and_fresh_state_stays(registry, put):
    put("base")
    work, private = registry.workrooms
    for path, days in ((work / "stale", 31), (work / "fresh", 29), (private / "signer", 31)):
        path.mkdir(parents=True)
        (path / "state").write_bytes(b"x" * 100)
        old(path, days)
    (registry.home / "tmp" / "merged-killed").mkdir()
    old(registry.home / "tmp" / "merged-killed", 1)
    found = removal.collect(registry, datetime.now(UTC))
    gone = ["work/stale", "work/signer", "tmp/merged-killed"]
    assert [piece.record["path"] for piece in found] == gone
    assert found[0].size == 100
    assert [path.name for room in (work, private) for path in room.iterdir()] == ["fresh"]
    assert [e.members["path"] for e in registry.entries()[1:]] == gone


def test_nothing_is_collected_under_a_running_step(house, content_of):
    registry, _ = house
    with registry.work("r" * 64):
        before = content_of(registry.home)
        with pytest.raises(PolicyError, match="a step is running"):
            removal.collect(registry, LATER)
        assert content_of(registry.home) == before


def test_an_empty_registry_stays_empty(registry):
    shutil.rmtree(registry.home)
    registry.pin.path.unlink()
    assert bedside("gc") == bedside("gc", "--apply") == bedside("log") == 0
    assert bedside("rollback", "--reason", "worse") == 5
    assert not registry.home.exists()
