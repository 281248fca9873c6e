"""The publisher's key: where it is, and how a person recognises it."""

from __future__ import annotations

import hashlib
import stat
import subprocess

import pytest

from bedside_bundle.keys import publisher_keys
from bedside_core.errors import ConfigError
from bedside_core.registry.registry import Registry
from bedside_core.signing import fits, read_public_key


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.delenv("BEDSIDE_BUNDLE_KEY", raising=False)
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))


def test_key_verb_makes_it_once_and_prints_its_fingerprint(bedside, tmp_path, capsys):
    assert bedside("key") == 0
    first = capsys.readouterr().out
    public = tmp_path / "home" / "keys" / "bundle.pub"
    lines = public.read_text().splitlines()
    der = subprocess.run(
        ["base64", "-d"], input="".join(lines[1:-1]).encode(), capture_output=True, check=True
    ).stdout
    assert first == f"public key: {public}\nSHA-256:    {hashlib.sha256(der).hexdigest()}\n"
    private = tmp_path / "home" / "keys" / "bundle.pem"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert bedside("key") == 0
    assert capsys.readouterr().out == first


def test_place_from_the_environment(bedside, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BEDSIDE_BUNDLE_KEY", str(tmp_path / "safe" / "publisher.pem"))
    assert bedside("key") == 0
    names = sorted(path.name for path in (tmp_path / "safe").iterdir())
    assert names == ["publisher.pem", "publisher.pub"]
    assert not (tmp_path / "home").exists()


def test_place_without_a_name_for_the_public_half(tmp_path, monkeypatch):
    monkeypatch.setenv("BEDSIDE_BUNDLE_KEY", str(tmp_path / "key"))
    with pytest.raises(ConfigError, match=r"does not end in \.pem"):
        publisher_keys(Registry(tmp_path))


def test_it_is_not_the_evidence_key(tmp_path):
    registry = Registry(tmp_path)
    keys = publisher_keys(registry)
    keys.make()
    registry.evidence_keys.make()
    public = read_public_key(registry.evidence_keys.public_path)
    assert not fits(public, registry.evidence_keys.domain + b"message", keys.sign(b"message"))
