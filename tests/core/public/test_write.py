"""`BEDSIDE_HOME/public/<digest>/`: golden bytes, whole or not at all, kept and removed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bedside_core import cli
from bedside_core.errors import ArtifactError, PolicyError
from bedside_core.public import mlbom, write
from bedside_core.public.write import public_files, write_public
from bedside_core.registry import removal

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture(autouse=True)
def _home(monkeypatch, registry):
    monkeypatch.setenv("BEDSIDE_HOME", str(registry.home))


def bedside(*words: str) -> int:
    return cli.main(["registry", *words])


def readable(name: str, content: bytes) -> bytes:
    """A file with its payload laid out, so that a change is read as a diff."""
    if not name.endswith((".json", ".sig")) or name in ("mlbom.cdx.json", "mlbom.cdx.json.sig"):
        return content
    document = json.loads(content)
    envelope = document.get("dsseEnvelope", document)
    envelope["payload"] = json.loads(base64.b64decode(envelope["payload"]))
    return json.dumps(document, indent=1).encode() + b"\n"


def test_golden(promoted, publisher, monkeypatch):
    """Change with BEDSIDE_GOLDEN=1, and read the diff."""
    monkeypatch.setattr(mlbom, "__version__", "0.0.0")
    files = public_files(promoted, publisher)
    shown = {n: readable(n, c) for n, c in files.items() if n != "mlbom.cdx.json.sig"}
    sums = "".join(f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in sorted(files.items()))
    shown["SHA256SUMS"] = sums.encode()
    if os.environ.get("BEDSIDE_GOLDEN"):
        for name, content in shown.items():
            (GOLDEN / name).write_bytes(content)
    assert {path.name for path in GOLDEN.iterdir()} == shown.keys()
    for name, content in shown.items():
        assert (GOLDEN / name).read_bytes() == content, name


def files_of(path: Path) -> dict[str, bytes]:
    return {child.name: child.read_bytes() for child in path.iterdir()}


def test_promote_writes_all_and_again_the_same(registry, chain, capsys):
    assert bedside("promote", chain["evidence"].digest) == 0
    target = registry.public / chain["merged"].digest
    assert f"for others to verify: {target}" in capsys.readouterr().out
    first = files_of(target)
    assert sorted(first) == [
        "README", "merge.provenance.json", "mlbom.cdx.json", "mlbom.cdx.json.sig", "model.sig",
        "promotion.vsa.json", "publisher.pub", "test-result.intoto.json",
        "training.provenance.json",
    ]  # fmt: skip
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    assert {stat.S_IMODE(p.stat().st_mode) for p in target.iterdir()} == {0o644}
    inode = target.stat().st_ino
    assert bedside("promote", chain["evidence"].digest) == 0
    assert bedside("publish") == 0
    assert bedside("publish", chain["merged"].digest[:12]) == 0
    assert (files_of(target), target.stat().st_ino) == (first, inode)
    for change in (lambda p: p.write_bytes(b"x"), Path.unlink):
        change(target / "model.sig")
        (target / "planted").write_bytes(b"")
        assert bedside("publish") == 0
        assert files_of(target) == first
    assert not any(p.name.startswith("public") for p in (registry.home / "tmp").iterdir())


def test_the_time_is_the_promotions(registry, chain):
    promotion = registry.promote(chain["evidence"])
    raw = (write_public(registry, promotion) / "promotion.vsa.json").read_bytes()
    payload = json.loads(base64.b64decode(json.loads(raw)["payload"]))
    assert payload["predicate"]["timeVerified"] == f"{promotion.time:%Y-%m-%dT%H:%M:%SZ}"


def test_nothing_half_written(registry, chain, monkeypatch):
    promotion = registry.promote(chain["evidence"])

    def full(path, data):
        if path.name == "promotion.vsa.json":
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr(write, "write_synced", full)
    with pytest.raises(ArtifactError, match="disk full while writing the public files"):
        write_public(registry, promotion)
    assert list(registry.public.iterdir()) == []
    assert not any(p.name.startswith("public") for p in (registry.home / "tmp").iterdir())


def test_a_rollback_publishes_again_what_it_goes_back_to(registry, chain, put, judge):
    assert bedside("promote", chain["evidence"].digest) == 0
    second = put("merged", parents={"base": chain["base"], "checkpoint": chain["checkpoint"]})
    assert bedside("promote", judge(second, chain["base"]).digest) == 0
    assert {p.name for p in registry.public.iterdir()} == {second.digest, chain["merged"].digest}
    before = files_of(registry.public / chain["merged"].digest)
    assert (
        bedside("rollback", "--reason", "wrong language") == 0
    )  # a decision of its own, named by its entry in the log
    after = files_of(registry.public / chain["merged"].digest)
    assert before["model.sig"] == after["model.sig"]
    assert before["promotion.vsa.json"] != after["promotion.vsa.json"]


def test_another_publisher_key_than_the_logs_is_refused(registry, chain, make_publisher):
    promotion = registry.promote(chain["evidence"])
    path = registry.publisher_keys.private_path
    kept = path.read_bytes()
    path.write_bytes(make_publisher(7).private_path.read_bytes())
    registry.publisher_keys.public_path.unlink()
    with pytest.raises(ArtifactError, match="is not the publisher key that the log names"):
        write_public(registry, promotion)
    path.unlink()
    assert bedside("publish") == 4
    assert not registry.public.exists()
    path.write_bytes(kept)
    path.chmod(0o600)
    registry.publisher_keys.public_path.unlink(missing_ok=True)
    assert bedside("publish") == 0


def test_a_new_publisher_key_signs_anew(registry, chain):
    target = write_public(registry, registry.promote(chain["evidence"]))
    before = files_of(target)
    assert bedside("rotate", "publisher", "--reason", "yearly") == 0
    assert bedside("publish") == 0
    after = files_of(target)
    assert before["publisher.pub"] != after["publisher.pub"]
    assert before.keys() == after.keys()


def test_never_promoted(registry, chain):
    assert bedside("publish") == 5
    registry.promote(chain["evidence"])
    assert bedside("publish", chain["base"].digest) == 5


def test_withdrawn_is_not_vouched_for(registry, chain):
    promotion = registry.promote(chain["evidence"])
    target = write_public(registry, promotion)
    removal.withdraw(registry, chain["corpus"].digest, "consent withdrawn")
    assert not target.exists()
    with pytest.raises(PolicyError, match="consent withdrawn"):
        write_public(registry, promotion)
    assert bedside("publish") == 5


def test_deleted_with_the_model(registry, chain):
    target = write_public(registry, registry.promote(chain["evidence"]))
    removal.withdraw(registry, chain["merged"].digest, "wrong")
    target.mkdir()  # by a copy that was put back
    for name in ("evidence", "merged"):
        removal.delete(registry, chain[name].digest, "erasure request")
    assert not target.exists()


def test_gc_keeps_what_is_promoted_alone(registry, chain):
    target = write_public(registry, registry.promote(chain["evidence"]))
    stray = registry.public / ("0" * 64)
    stray.mkdir()
    (stray / "model.sig").write_bytes(b"1234")
    found = removal.collect(registry, datetime.now(UTC))
    assert [piece.record for piece in found] == [{"path": f"public/{stray.name}", "bytes": 4}]
    assert list(registry.public.iterdir()) == [target]
