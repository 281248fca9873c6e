"""Artifacts: atomic, content-addressed, and honest about every change."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from bedside_core import artifacts, files
from bedside_core.artifacts import (
    MANIFEST,
    Artifact,
    FileEntry,
    Producer,
    Recipe,
    hash_inputs,
    write_artifact,
)
from bedside_core.errors import ArtifactError
from bedside_core.files import disk_errors, lock_directory, sha256_file, sweep, write_atomic
from bedside_core.registry.registry import Registry


def visible(registry: Registry) -> list[Path]:
    return list(registry.store.iterdir()) if registry.store.exists() else []


def temporary(registry: Registry) -> list[Path]:
    return list((registry.home / "tmp").iterdir())


def test_written_artifact(registry, put):
    parent = put("base")
    artifact = put("corpus", files={"a.txt": b"A", "sub/b.txt": b"BB"}, parents={"p": parent})
    artifact.verify()
    raw = (artifact.path / MANIFEST).read_bytes()
    assert artifact.path == registry.store / hashlib.sha256(raw).hexdigest()
    entries = {entry.path: (entry.size, entry.sha256) for entry in artifact.manifest.files}
    assert entries == {
        "a.txt": (1, hashlib.sha256(b"A").hexdigest()),
        "sub/b.txt": (2, hashlib.sha256(b"BB").hexdigest()),
    }
    assert artifact.manifest.parents == {"p": parent.digest}
    assert artifact.file("sub/b.txt").read_bytes() == b"BB"
    assert temporary(registry) == []
    with pytest.raises(ArtifactError, match="has no file 'c'"):
        artifact.file("c")


def test_another_user_can_read_what_a_library_wrote_privately(put):
    previous = os.umask(0o077)
    try:
        artifact = put("base", files={"model.safetensors": b"w"})
    finally:
        os.umask(previous)
    assert artifact.path.stat().st_mode & 0o777 == 0o755
    assert artifact.file("model.safetensors").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, ArtifactError])
def test_exception_leaves_nothing(registry, put, error):
    class Files(dict):
        def items(self):
            yield "first", b"1" * 5000
            raise error("boom")

    with pytest.raises(error):
        put("base", files=Files(any=b""))
    assert visible(registry) == []
    assert temporary(registry) == []


def test_kill_9_leaves_nothing_and_the_next_writer_sweeps(registry, put, start, writer_code):
    process = start(writer_code, registry.store, "wait")
    assert process.stdout.readline() == "writing\n"
    assert len(temporary(registry)) == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert visible(registry) == []
    assert len(temporary(registry)) == 1
    artifact = put("base")
    assert temporary(registry) == []
    assert visible(registry) == [artifact.path]


def test_sweep_spares_what_a_live_process_writes(registry, put, start, writer_code):
    process = start(writer_code, registry.store, "wait")
    assert process.stdout.readline() == "writing\n"
    put("base")
    assert len(temporary(registry)) == 1
    digest = process.communicate("go on\n")[0].split()[-1]
    assert process.returncode == 0
    Artifact(registry.store / digest).verify()
    assert len(visible(registry)) == 2


def test_sweep_between_making_and_locking_is_survived(registry, put, monkeypatch):
    """Another writer may sweep a directory in the moment before its maker has locked it."""
    real, swept = files.tempfile.mkdtemp, []

    def mkdtemp(**options):
        path = real(**options)
        if len(swept) < 3:
            swept.append(path)
            sweep(Path(options["dir"]))
        return path

    monkeypatch.setattr(files.tempfile, "mkdtemp", mkdtemp)
    put("base").verify()
    assert len(swept) == 3


def test_many_writers_and_sweeps_at_once(registry, put):
    errors: list[ArtifactError] = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                put("base", config={"number": number, "turn": turn}).verify()
        except ArtifactError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(visible(registry)) == 20  # also if a thread died of something else
    assert temporary(registry) == []


def test_lock_of_a_removed_directory_guards_nothing(tmp_path):
    assert lock_directory(tmp_path / "none") is None
    path = tmp_path / "held"
    path.mkdir()
    held = lock_directory(path)
    assert held is not None
    with pytest.raises(BlockingIOError):
        lock_directory(path, wait=False)
    result = []
    thread = threading.Thread(target=lambda: result.append(lock_directory(path)))
    thread.start()
    shutil.rmtree(path)
    path.mkdir()  # the same name, but another directory than the one that is waited for
    os.close(held)
    thread.join(60)
    for handle in result:
        if handle is not None:  # it opened the new one
            assert os.path.samestat(os.fstat(handle), path.stat())
            os.close(handle)


def test_disk_full(small_disk, monkeypatch, tmp_path, put, registry):
    registry.home = small_disk / "home"
    registry.store = registry.home / "artifacts"
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 600_000)
    with pytest.raises(ArtifactError) as error:
        put("base", files={"weights.bin": b"w" * 800_000})
    assert "disk full while writing base" in str(error.value)
    assert error.value.exit_code == 4
    assert visible(registry) == []
    assert temporary(registry) == []
    filler.unlink()
    put("base", files={"weights.bin": b"w" * 800_000}).verify()


def test_disk_full_under_a_native_writer(small_disk, registry, put):
    """safetensors raises an error of its own that only quotes the system's words."""
    save_file = pytest.importorskip("safetensors.numpy").save_file
    import numpy as np

    with pytest.raises(ArtifactError, match="disk full"), disk_errors("base"):
        save_file({"a": np.zeros(1 << 20)}, small_disk / "a.safetensors")


def test_disk_full_while_replacing_a_small_file(small_disk):
    file = small_disk / "slot"
    write_atomic(file, b"old")
    (small_disk / "filler").write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * 4096 - 8192))
    with pytest.raises(ArtifactError, match="disk full"):
        write_atomic(file, b"n" * 100_000)
    assert file.read_bytes() == b"old"
    assert sorted(p.name for p in small_disk.iterdir()) == ["filler", "slot"]


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), disk_errors("x"):
        (tmp_path / "none").read_bytes()
    with pytest.raises(ValueError, match="mine"), disk_errors("x"):
        raise ValueError("mine")


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def replace_by_link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: flip(p / "weights.bin"), "weights.bin was changed"),
        (lambda p: (p / "weights.bin").write_bytes(b""), "weights.bin was changed"),
        (lambda p: (p / "weights.bin").unlink(), "weights.bin is missing"),
        (lambda p: replace_by_link(p / "weights.bin"), "weights.bin is missing"),
        (lambda p: (p / "extra.py").write_text("x"), "extra.py is not listed"),
        (lambda p: (p / "new" / "deep").mkdir(parents=True) or (p / "new" / "deep" / "x").touch(),
         "new/deep/x is not listed"),
        (lambda p: (p / "link").symlink_to("/etc"), "link is not listed"),
        (lambda p: (p / "weights.bin").unlink() or (p / "weights.bin").mkdir(),
         "weights.bin is missing"),
    ],
)  # fmt: skip
def test_every_change_is_named(put, change, words):
    artifact = put("base")
    change(artifact.path)
    with pytest.raises(ArtifactError) as error:
        Artifact(artifact.path).verify()
    assert words in str(error.value)
    assert artifact.digest[:12] in str(error.value)


def test_all_changes_are_named_at_once(put):
    artifact = put("base", files={"a": b"1", "b": b"2", "c": b"3"})
    flip(artifact.path / "a")
    (artifact.path / "b").unlink()
    (artifact.path / "d").touch()
    with pytest.raises(ArtifactError, match=r"a was changed; b is missing; d is not listed"):
        artifact.verify()
    artifact.verify("c")
    with pytest.raises(ArtifactError, match="a was changed - "):
        artifact.verify("a")


def edit_manifest(path: Path) -> None:
    file = path / MANIFEST
    manifest = json.loads(file.read_text())
    manifest["facts"]["verdict"] = "fine"
    file.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edit_manifest, "manifest.json was changed"),
        (lambda p: (p / MANIFEST).write_bytes(b""), "manifest.json was changed"),
        (lambda p: (p / MANIFEST).unlink(), "no readable manifest.json"),
    ],
)
def test_changed_manifest(put, change, words):
    artifact = put("base")
    change(artifact.path)
    with pytest.raises(ArtifactError, match=words):
        Artifact(artifact.path)


def test_manifest_of_a_later_schema(tmp_path):
    raw = b'{"schema_version":2,"kind":"base"}'
    path = tmp_path / hashlib.sha256(raw).hexdigest()
    path.mkdir()
    (path / MANIFEST).write_bytes(raw)
    with pytest.raises(ArtifactError, match="schema that this version does not know"):
        Artifact(path)


@pytest.mark.parametrize("path", ["../a", "a/../../b", "/etc/passwd", "", "a\0b"])
def test_a_manifest_leads_nowhere_else(put, path):
    manifest = json.loads((put("base").path / MANIFEST).read_bytes())
    manifest["files"][0]["path"] = path
    raw = json.dumps(manifest).encode()
    planted = put("corpus").path.parent / hashlib.sha256(raw).hexdigest()
    planted.mkdir()
    (planted / MANIFEST).write_bytes(raw)
    with pytest.raises(ArtifactError, match="schema that this version does not know"):
        Artifact(planted)


def test_hash_inputs(tmp_path):
    (tmp_path / "a").write_bytes(b"A")
    assert hash_inputs({"a": tmp_path / "a"}) == {"a": sha256_file(tmp_path / "a")}
    with pytest.raises(ArtifactError, match=r"none: cannot be read \(No such file"):
        hash_inputs({"b": tmp_path / "none"})


def test_a_large_artifact_shows_how_far_its_verification_is(put, capsys, monkeypatch) -> None:
    artifact = put(files={"a.bin": b"a" * 3000, "b.bin": b"b" * 1000})
    artifact.verify()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(artifacts, "SHOWN_BYTES", 4000)
    artifact.verify()
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (line["progress"], line["done"], line["total"]) == ("verify base", 4000, 4000)


def test_a_file_that_is_taken_over_is_neither_copied_nor_read(registry, tmp_path, monkeypatch):
    made = tmp_path / "home" / "work" / "shard"
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_bytes(b"texts")
    entry = FileEntry(path="data/0.bin", size=5, sha256=hashlib.sha256(b"texts").hexdigest())
    hashed = []
    real = artifacts.sha256_file
    monkeypatch.setattr(
        artifacts, "sha256_file", lambda path: hashed.append(path.name) or real(path)
    )
    recipe = Recipe(verb="t", version="1", config={}, parents={}, inputs={})
    producer = Producer(service="t", version="1", git_revision=None, image_digest=None)
    with write_artifact(
        registry.store, "corpus", recipe=recipe, producer=producer, licences=()
    ) as writer:
        (writer.path / "stats.json").write_bytes(b"{}")
        writer.take(made, entry)
    assert hashed == ["stats.json"]
    monkeypatch.undo()
    writer.result.verify()
    assert writer.result.file("data/0.bin").samefile(made)
