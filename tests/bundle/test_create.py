"""`bedside bundle create`: what is in the archive, and that a failure leaves nothing visible."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version

import pytest

from bedside_bundle import create as module
from bedside_bundle.archive import Archive, verify
from bedside_bundle.manifest import is_safe
from bedside_core.errors import ArtifactError
from bedside_core.kinds.evidence import DOMAIN
from bedside_core.public.write import write_public
from bedside_core.registry import removal
from bedside_core.signing import Keys, fits, read_public_key

IMAGES = ["bedside/engine:0.2.0", "bedside/gateway:0.2.0"]
FIXED = [
    "README.txt",
    "SHA256SUMS",
    "chart/.helmignore",
    "chart/Chart.yaml",
    "deploy/.env.example",
    "deploy/compose.gpu.yaml",
    "deploy/compose.yaml",
    "deploy/configs/demo.yaml",
    "deploy/demo/documents/größe 1.txt",
    "deploy/scripts/backup.sh",
    "install/wheels/bedside_bundle-0.2.0-py3-none-any.whl",
    "install/wheels/bedside_core-0.2.0-py3-none-any.whl",
    "install/wheels/pydantic-2-py3-none-any.whl",
    "locks/requirements/core.lock",
    "locks/services/eval/requirements.lock",
]
LAST = [
    "sbom/bedside-engine-0.2.0.cdx.json",
    "sbom/bedside-gateway-0.2.0.cdx.json",
    "images.tar",
]


def failure(capsys) -> str:
    return capsys.readouterr().err.removeprefix("bedside: ").strip()


def visible(site) -> list[str]:
    return sorted(path.name for path in site.output.iterdir())


def test_whole_content(site, members):
    """No secret (.env), no editor's file, no cache; the models of an empty registry are none."""
    found = members(site.create())
    assert list(found) == ["bundle.json", "bundle.json.sig", *FIXED, *LAST]
    document = json.loads(found["bundle.json"])
    assert document["files"] == [
        {"path": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest(),
         "executable": name == "deploy/scripts/backup.sh"}
        for name, content in list(found.items())[2:]
    ]  # fmt: skip
    assert (document["schema_version"], document["version"], document["git_revision"]) == (
        1, version("bedside-bundle"), "abc123",
    )  # fmt: skip
    assert [image["reference"] for image in document["images"]] == IMAGES
    assert {image["platform"] for image in document["images"]} == {"linux/amd64"}
    assert visible(site) == ["b.tar"]


def test_image_is_known_by_every_digest_that_a_store_may_use(site, members):
    document = json.loads(members(site.create())["bundle.json"])
    for image in document["images"]:
        config = json.dumps({"config of": image["reference"]}).encode()
        digest = "sha256:" + hashlib.sha256(config).hexdigest()
        manifest = json.dumps({"config": {"digest": digest}}).encode()
        assert image["ids"] == [digest, "sha256:" + hashlib.sha256(manifest).hexdigest()]


def test_docker_before_25_has_only_ids(site, members):
    site.docker.behave("old")
    document = json.loads(members(site.create())["bundle.json"])
    assert [len(image["ids"]) for image in document["images"]] == [1, 1]


def test_images_are_saved_in_one_file(site):
    site.create()
    assert [words for words in site.docker.calls if words[0] == "save"] == [["save", *IMAGES]]


def test_inventory_runs_confined(site):
    site.create()
    (run, _) = (words for words in site.docker.calls if words[0] == "run")
    assert run[1:12] == [
        "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--entrypoint", "python3", run[11],
    ]  # fmt: skip
    assert run[11].startswith("sha256:")


def test_two_bundles_of_the_same_are_the_same(site, monkeypatch):
    class Clock(module.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 1, tzinfo=tz)

    monkeypatch.setattr(module, "datetime", Clock)
    assert site.create("one.tar").read_bytes() == site.create("two.tar").read_bytes()


def test_archive_is_for_its_owner_only(site):
    assert site.create().stat().st_mode & 0o777 == 0o600


def test_folder_as_output(site, bedside):
    assert bedside("create", str(site.output)) == 0
    assert visible(site) == [f"bedside-{version('bedside-bundle')}.tar"]


def test_existing_file_is_not_overwritten(site, bedside, capsys):
    (site.output / "b.tar").write_text("precious")
    assert bedside("create", str(site.output / "b.tar")) == 4
    assert "b.tar exists - remove it" in failure(capsys)
    assert (site.output / "b.tar").read_text() == "precious"


# --- models ----------------------------------------------------------------------------------


def test_served_model_and_its_proof_without_documents_or_private_key(site, promote, put, members):
    put(site.registry, "merged")  # another run's
    found = promote(site.registry)
    (site.registry.home / "gateway").mkdir()
    (site.registry.home / "gateway" / "state.sqlite3").write_text("hashed keys")
    site.registry.set_slot("other", "base", "f" * 64)
    assert site.registry.evidence_keys.private_path.exists()
    names = [name for name in members(site.create()) if name.startswith("models/")]
    expected = [
        f"models/artifacts/{a.digest}/{name}"
        for a in (found["merged"], found["evidence"])
        for name in ("manifest.json", *(entry.path for entry in a.manifest.files))
    ]
    expected += ["models/runs/demo/merged", "models/runs/demo/evidence"]
    expected += ["models/log.jsonl", "models/log.head"]
    assert sorted(names) == sorted(expected)


def test_what_others_verify_goes_along(site, promote, members):
    promote(site.registry)
    folder = write_public(site.registry, site.registry.current())
    (site.registry.public / "of another").mkdir()
    (site.registry.public / "of another" / "model.sig").write_bytes(b"")
    carried = {
        name: content
        for name, content in members(site.create()).items()
        if name.startswith("models/public/")
    }
    assert carried == {
        f"models/public/{folder.name}/{path.name}": path.read_bytes() for path in folder.iterdir()
    }


def test_a_withdrawn_model_leaves_with_no_bundle(site, promote, bedside, capsys):
    found = promote(site.registry)
    removal.withdraw(site.registry, found["corpus"].digest, "consent withdrawn")
    assert bedside("create", str(site.output / "b.tar")) == 5
    model = found["merged"].digest[:12]
    assert f"the promoted model {model} may not be used: corpus" in capsys.readouterr().err
    assert not list(site.output.glob("*"))


def test_target_can_promote_what_came_along(site, promote, members, tmp_path):
    """`models/` is a BEDSIDE_HOME: its evidence verifies once the house is pinned there."""
    from bedside_core.registry.registry import Registry

    found = promote(site.registry)
    home = tmp_path / "target"
    for name, content in members(site.create()).items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    registry = Registry(home / "models")
    with pytest.raises(ArtifactError, match="is not pinned"):
        registry.current()
    registry.pin.write(site.registry.keyring()["operator"].fingerprint)
    assert registry.current() == site.registry.current()
    assert registry.check_promotable(registry.get("demo/evidence")).digest == found["merged"].digest
    assert len(registry.artifacts()) == 2
    for artifact in registry.artifacts():
        artifact.verify()


def test_lineage_is_manifests_only(site, promote, members):
    found = promote(site.registry)
    names = [name for name in members(site.create()) if name.startswith("lineage/")]
    assert sorted(names) == sorted(f"lineage/{a.digest}.json" for a in found.values())


def test_without_a_promotion_the_bases(site, put, members):
    base, _ = put(site.registry, "base"), put(site.registry, "merged")
    site.registry.set_slot("demo", "base", base.digest)
    names = [name for name in members(site.create()) if name.startswith("models/")]
    assert names == [
        f"models/artifacts/{base.digest}/manifest.json",
        f"models/artifacts/{base.digest}/weights.bin",
        "models/log.head",
        "models/log.jsonl",
        "models/runs/demo/base",
    ]


@pytest.mark.parametrize("kind", ["merged", "evidence"])
def test_damaged_artifact_is_not_bundled(site, bedside, promote, capsys, kind):
    artifact = promote(site.registry)[kind]
    path = artifact.path / artifact.manifest.files[0].path
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert bedside("create", str(site.output / "b.tar")) == 4
    assert path.name in failure(capsys)
    assert visible(site) == []


# --- what can be missing or go wrong -----------------------------------------------------------


def test_without_a_key(site, bedside, capsys):
    shutil.rmtree(site.registry.home / "keys")
    assert bedside("create", str(site.output / "b.tar")) == 2
    assert "make it with `bedside bundle key`" in failure(capsys)
    assert site.docker.calls == []
    assert not (site.registry.home / "keys").exists()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("down", "docker compose failed: Cannot connect to the Docker daemon"),
        ("gone", "image bedside/engine:0.2.0 is not on this machine - build it with `make images`"),
    ],
)
def test_docker_that_does_not_help(site, bedside, capsys, how, message):
    site.docker.behave(how)
    assert bedside("create", str(site.output / "b.tar")) == 4
    assert failure(capsys).startswith(message)
    assert visible(site) == []


def test_image_that_is_built_anew_meanwhile(site, bedside, capsys, monkeypatch):
    """Otherwise the target's `load` would refuse it, far from where it can be mended."""
    save = module.docker.save

    def save_then_build(references, path):
        saved = save(references, path)
        site.docker.behave("other")
        return saved

    monkeypatch.setattr(module.docker, "save", save_then_build)
    assert bedside("create", str(site.output / "b.tar")) == 4
    assert "was built anew while it was bundled" in failure(capsys)
    assert visible(site) == []


def test_no_docker_at_all(site, bedside, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert bedside("create", str(site.output / "b.tar")) == 4
    assert "docker cannot be run" in failure(capsys)
    assert visible(site) == []


def test_project_without_images(site, bedside, capsys):
    site.docker.has()
    assert bedside("create", str(site.output / "b.tar")) == 4
    assert "names no image" in failure(capsys)


@pytest.mark.parametrize("name", ["compose.yaml", "requirements/core.lock"])
def test_not_in_a_checkout(site, bedside, capsys, name):
    (site.checkout / name).unlink()
    assert bedside("create", str(site.output / "b.tar")) == 3
    assert f"no {name} here" in failure(capsys)
    assert site.docker.calls == []
    assert visible(site) == []


def test_link_in_the_checkout(site, bedside, capsys):
    (site.checkout / "configs" / "link.yaml").symlink_to("/etc/passwd")
    assert bedside("create", str(site.output / "b.tar")) == 3
    assert "not a plain file" in failure(capsys)


def test_name_that_no_bundle_carries(site, bedside, capsys):
    (site.checkout / "configs" / "a\\b.yaml").write_text("")
    assert not is_safe("deploy/configs/a\\b.yaml")
    assert bedside("create", str(site.output / "b.tar")) == 3
    assert "cannot carry this name" in failure(capsys)


def test_without_the_extra(site, bedside, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "bedside_bundle.sbom", None)
    monkeypatch.delattr("bedside_bundle.sbom", raising=False)
    assert bedside("create", str(site.output / "b.tar")) == 2
    assert "install its extra `create`" in failure(capsys)
    assert visible(site) == []


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_wheel_tools_that_fail(site, bedside, capsys, tool, tmp_path):
    path = tmp_path / "envs" / "uv" / "bin" / tool
    path.write_text("#!/bin/sh\necho no index >&2\nexit 1\n")
    assert bedside("create", str(site.output / "b.tar")) == 4
    assert "failed: no index - is a package index reachable?" in failure(capsys)
    path.unlink()
    assert bedside("create", str(site.output / "b.tar")) == 4
    assert f"no {tool} in" in failure(capsys)
    assert visible(site) == []


def test_full_disk(site, bedside, capsys, monkeypatch):
    """A limit on the size of files is what a test can have of a full disk."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    (site.checkout / "demo" / "large").write_bytes(os.urandom(300_000))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it would be cut off, and stay so
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        code = bedside("create", str(site.output / "b.tar"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 4
    assert failure(capsys).splitlines()[-1].startswith(
        "bedside: disk full while writing b.tar"
    ) or ("disk full while writing b.tar" in capsys.readouterr().err)
    assert visible(site) == []


def test_killed_while_saving(site, tmp_path):
    """SIGKILL leaves nothing visible, and the next run sweeps what it left hidden."""
    docker = tmp_path / "bin" / "docker"
    text = docker.read_text()
    slow = "print('x' * 99999, flush=True); (state / 'saving').touch(); import time; time.sleep(60)"
    docker.write_text(text.replace("def save(names):", f"def save(names):\n    {slow}"))
    command = [sys.executable, "-m", "bedside_core.cli", "bundle", "create", "b.tar"]
    process = subprocess.Popen(command, cwd=site.checkout, stderr=subprocess.DEVNULL)
    while not (site.docker.state / "saving").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (site.checkout / "b.tar").exists()
    left = site.checkout / ".bedside-bundle"
    assert len(list(left.iterdir())) == 1
    docker.write_text(text)
    subprocess.run(command, cwd=site.checkout, check=True, capture_output=True)
    assert (site.checkout / "b.tar").exists()
    assert not left.exists()


# --- the README's way with ordinary tools -------------------------------------------------------


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_readme_commands_check_the_bundle(site, tmp_path, members):
    """The commands are taken from the README of the archive and run as they stand."""
    archive = site.create()
    readme = members(archive)["README.txt"].decode()
    assert '--volume "$PWD/../models:/import:ro"' in readme
    folder = tmp_path / "target"
    folder.mkdir()
    shutil.copy(site.public_key, folder / "bundle.pub")
    lines = [line.strip() for line in readme.splitlines() if line.startswith("    ")]
    wanted = ("openssl", "tar", "{ printf", "sha256sum", "grep")
    script = "\n".join(line for line in lines if line.startswith(wanted))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("ARCHIVE", str(archive))],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Signature Verified Successfully" in done.stdout
    assert "images.tar: OK" in done.stdout
    digest = hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()
    assert f'"sha256": "{digest}"' in done.stdout
    assert f"{digest}  SHA256SUMS" in done.stdout


def test_signature_is_worth_nothing_for_evidence(site):
    """The publisher's key may sign no verdict, even where it is the only key there is."""
    archive = site.create()
    with archive.open("rb") as file:
        opened = Archive(file, read_public_key(site.public_key))
    keys = Keys(site.public_key.parent, stem="bundle", domain=DOMAIN)
    public = read_public_key(keys.public_path)
    assert not fits(public, DOMAIN + opened.raw, opened.signature.decode().strip())
    with archive.open("rb") as file:
        verify(file, read_public_key(site.public_key))
