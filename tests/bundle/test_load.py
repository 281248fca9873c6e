"""`bedside bundle verify | load`: all or nothing, and never over something else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bedside_bundle import contents
from bedside_bundle import load as module
from bedside_bundle.archive import verify
from bedside_bundle.load import MODELS_INTO_STACK
from bedside_core.signing import Keys

IMAGES = ["bedside/engine:0.2.0", "bedside/gateway:0.2.0"]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.fixture
def archive(site, promote) -> Path:
    """A bundle with models; the machine has no images any more, as a new one."""
    promote(site.registry)
    path = site.create()
    site.docker.has()
    (site.docker.state / "calls").unlink()
    return path


@pytest.fixture
def load(site, bedside, archive, target):
    """On a machine that pins the house already."""
    return lambda: bedside("load", str(archive), str(site.public_key), str(target))


def test_models_of_a_house_that_is_not_pinned_here(
    site, bedside, archive, target, capsys, monkeypatch, tmp_path
) -> None:
    """The publisher's signature says who packed them; whose they are, another way must say."""
    anchor = site.registry.keyring()["operator"].fingerprint
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "elsewhere"))
    words = ("load", str(archive), str(site.public_key), str(target))
    for more, problem in ((), "is not pinned here"), (("--pin", "0" * 64), "is not the pinned one"):
        assert bedside(*words, *more) == 4
        said = capsys.readouterr().err
        assert f"the operator key {anchor}, which {problem}" in said
        assert not target.exists()
    assert bedside(*words, "--pin", anchor) == 0
    said = capsys.readouterr().out
    assert f"its models are of the house with the operator key {anchor}" in said
    assert f"BEDSIDE_PIN={anchor}" in said


def test_a_log_of_another_house_than_the_bundle_says(
    site, promote, bedside, target, monkeypatch, capsys
) -> None:
    """A publisher who names the house that is pinned, and packs another one's models."""
    promote(site.registry)
    monkeypatch.setattr(contents, "anchor", lambda _: "5" * 64)
    archive = site.create()
    capsys.readouterr()
    words = ("load", str(archive), str(site.public_key), str(target), "--pin", "5" * 64)
    assert bedside(*words) == 4
    assert "the registry was replaced, or the house has another key" in capsys.readouterr().err
    assert not target.exists()


def tree(root: Path) -> dict[str, bytes]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def failure(capsys) -> str:
    lines = capsys.readouterr().err.splitlines()
    return next(line for line in lines if line.startswith("bedside: ")).removeprefix("bedside: ")


def loads(site) -> int:
    return sum(words[0] == "load" for words in site.docker.calls)


def test_verify_says_what_it_is_and_touches_nothing(site, bedside, archive, capsys):
    assert bedside("verify", str(archive), str(site.public_key)) == 0
    out = capsys.readouterr().out
    assert "intact, signed with the key " in out
    assert all(reference in out for reference in IMAGES)
    assert site.docker.calls == []
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]


def test_load_extracts_everything_but_the_images(site, load, archive, target, members, capsys):
    assert load() == 0
    expected = members(archive)
    del expected["images.tar"]
    assert tree(target) == dict(sorted(expected.items()))
    assert site.docker.images == IMAGES
    assert sorted(path.name for path in target.parent.iterdir() if path.name.startswith(".")) == []
    out = capsys.readouterr().out
    assert MODELS_INTO_STACK.format(models=target / "models") in out
    assert "docker compose up --detach --no-build" in out


def test_containers_can_read_it(load, target):
    """Whatever the umask of whoever loads: the service user of the images is another one."""
    import os

    before = os.umask(0o077)
    try:
        assert load() == 0
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in target.rglob("*") if path.is_dir()}
    assert modes == {0o755}
    executable = {p.name for p in target.rglob("*") if p.is_file() and p.stat().st_mode & 0o111}
    assert executable == {"backup.sh"}


def test_second_load_changes_nothing(site, load, target, capsys):
    assert load() == 0
    (target / "deploy" / ".env").write_text("PORT=1\n")  # made by the operator
    before = tree(target)
    capsys.readouterr()
    assert load() == 0
    assert "is loaded already" in capsys.readouterr().out
    assert tree(target) == before
    assert loads(site) == 1


def test_images_that_went_missing_are_loaded_again(site, load, target):
    assert load() == 0
    before = tree(target)
    site.docker.has(IMAGES[0])
    assert load() == 0
    assert (site.docker.images, loads(site)) == (IMAGES, 2)
    assert tree(target) == before


@pytest.mark.parametrize("name", ["deploy/compose.yaml", "models/log.jsonl"])
def test_changed_file_is_not_overwritten(site, load, target, capsys, name):
    assert load() == 0
    (target / name).write_text("edited\n")
    assert load() == 4
    assert f"{name} is not what this bundle brought" in failure(capsys)
    assert (target / name).read_text() == "edited\n"
    (target / name).unlink()
    assert load() == 4


def test_other_content_is_not_overwritten(site, load, target, capsys):
    target.mkdir()
    (target / "precious").write_text("x")
    assert load() == 4
    assert "holds something else - name a new directory" in failure(capsys)
    assert tree(target) == {"precious": b"x"}
    assert loads(site) == 0


def test_another_bundle_is_not_written_over_the_first(site, bedside, load, target, capsys):
    assert load() == 0
    site.docker.has(*IMAGES)
    (site.checkout / "configs" / "demo.yaml").write_text("name: other\n")
    other = site.create("other.tar")
    assert bedside("load", str(other), str(site.public_key), str(target)) == 4
    assert "holds something else" in failure(capsys)


def test_empty_directory_is_as_good_as_none(load, target):
    target.mkdir()
    assert load() == 0


def test_target_that_is_a_file(load, target, capsys):
    target.write_text("x")
    assert load() == 4
    assert "holds something else" in failure(capsys)


@pytest.mark.parametrize("verb", ["verify", "load"])
@pytest.mark.parametrize("name", ["deploy/.env.example", "images.tar", "models/log.jsonl"])
def test_tampered_file_is_named_and_nothing_is_left(
    site, bedside, archive, target, members, capsys, verb, name
):
    content = archive.read_bytes()
    flip(archive, content.index(members(archive)[name]))
    words = [str(archive), str(site.public_key), *[str(target)] * (verb == "load")]
    assert bedside(verb, *words) == 4
    assert failure(capsys).startswith(f"{name}: its content was changed")
    assert (target.exists(), loads(site)) == (False, 0)


def test_key_that_came_along_does_not_count(site, bedside, archive, target, tmp_path, capsys):
    """Somebody else signs the same content; their key is another one."""
    other = Keys(tmp_path / "other", stem="bundle", domain=b"")
    other.make()
    assert bedside("load", str(archive), str(other.public_path), str(target)) == 4
    assert "does not fit the public key" in failure(capsys)
    assert loads(site) == 0


@pytest.mark.parametrize("missing", [0, 1])
def test_missing_arguments(site, bedside, archive, tmp_path, missing, capsys):
    words = [str(archive), str(site.public_key)]
    words[missing] = str(tmp_path / "nothing")
    assert bedside("verify", *words) == 4
    assert str(tmp_path / "nothing") in failure(capsys)


@pytest.mark.parametrize("name", ["deploy/.env.example", "images.tar"])
def test_changed_between_the_passes(
    site, load, archive, target, members, monkeypatch, capsys, name
):
    """Whoever can write to the file after the check must not get anything into Docker."""

    def verify_then_change(file, key):
        checked = verify(file, key)
        content = archive.read_bytes()
        flip(archive, content.index(members(archive)[name]))
        return checked

    monkeypatch.setattr(module, "verify", verify_then_change)
    assert load() == 4
    assert failure(capsys).startswith(f"{name}: its content was changed")
    assert not target.exists()
    assert site.docker.images == []


def test_replaced_between_the_passes(site, load, archive, target, monkeypatch, capsys):
    """By another bundle of the same publisher, an old one with a hole, say."""
    site.docker.has(*IMAGES)
    (site.checkout / "configs" / "demo.yaml").write_text("name: old\n")
    other = site.create("other.tar").read_bytes()
    site.docker.has()

    def verify_then_replace(file, key):
        checked = verify(file, key)
        archive.write_bytes(other)
        return checked

    monkeypatch.setattr(module, "verify", verify_then_replace)
    assert load() == 4
    assert failure(capsys).startswith("bundle.json was changed while it was loaded")
    assert (target.exists(), loads(site)) == (False, 0)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("down", "docker version failed: Cannot connect"),
        ("arm", "image bedside/engine:0.2.0 is for linux/amd64, this Docker is linux/arm64"),
        ("refuse", "docker load failed: no space left on device"),
        ("lose", "image bedside/engine:0.2.0 is not on this machine"),
        ("other", "image bedside/engine:0.2.0 is not the one of the bundle after loading"),
    ],
)
def test_docker_that_does_not_take_it(site, load, target, capsys, how, message):
    site.docker.behave(how)
    assert load() == 4
    assert failure(capsys).startswith(message)
    assert not target.exists()
    site.docker.behave()
    assert load() == 0


def test_docker_that_hangs_up_early(site, load, target, tmp_path, capsys):
    """More than a pipe holds, so the broken pipe is certain."""
    docker = tmp_path / "bin" / "docker"
    text = docker.read_text()
    docker.write_text(text.replace("data = sys.stdin.buffer.read()", "fail('too many open files')"))
    assert load() == 4
    assert "docker load failed: too many open files" in failure(capsys)
    assert not target.exists()


def test_engine_with_the_other_image_store(site, load):
    site.docker.behave("containerd")
    assert load() == 0
    assert load() == 0
    assert loads(site) == 1


def test_mount_point_as_target(load, target, monkeypatch, capsys):
    rename = Path.rename

    def busy(self, to):
        if Path(to) == target:
            raise OSError(16, "Device or resource busy")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", busy)
    assert load() == 4
    assert "cannot be moved there (Device or resource busy)" in failure(capsys)


def test_sums_of_the_loaded_folder(load, target):
    assert load() == 0
    lines = (target / "SHA256SUMS").read_text().splitlines()
    sums = {line[66:]: line[:64] for line in lines}
    del sums["images.tar"]
    assert sums == {
        name: hashlib.sha256(content).hexdigest()
        for name, content in tree(target).items()
        if name not in ("SHA256SUMS", "bundle.json", "bundle.json.sig")
    }


def test_no_network_and_no_extra_are_needed(archive):
    """What the target installs is bedside-core's packages: loading imports nothing else."""
    import subprocess
    import sys

    code = "import bedside_bundle.cli, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"cyclonedx", "packageurl"} & set(json.loads(done.stdout))
