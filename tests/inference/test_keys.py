"""API keys: shown once, stored hashed, revocable."""

from __future__ import annotations

import errno
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bedside_core.errors import ArtifactError, BedsideError, ConfigError, InputError
from bedside_core.registry import Registry
from bedside_inference.keys import KeyStore, manage


def test_create_prints_only_the_key(tmp_path, capsys) -> None:
    manage(Registry(tmp_path), "create", None)
    key, end = capsys.readouterr().out.split("\n")
    assert key.startswith("bsk-")
    assert len(key) == len("bsk-") + 43  # 256 bits in base64
    assert end == ""
    store = KeyStore(tmp_path)
    assert store.find(key) == store.all()[0].id
    assert key not in store.path.read_text()
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("wrong", ["", "bsk-", "bsk-ä", "\udc80", "x" * 10000])
def test_wrong_keys_are_not_found(tmp_path, wrong) -> None:
    store = KeyStore(tmp_path)
    assert store.find(wrong) is None
    store.create()
    assert store.find(wrong) is None
    assert store.find(store.all()[0].sha256) is None


def test_another_store_sees_a_revocation(tmp_path) -> None:
    key_id, key = KeyStore(tmp_path).create()
    reader = KeyStore(tmp_path)
    assert reader.find(key) == key_id
    KeyStore(tmp_path).revoke(key_id)
    assert reader.find(key) is None


def test_keys_made_at_once_are_all_kept(tmp_path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: KeyStore(tmp_path).create(), range(16)))
    store = KeyStore(tmp_path)
    assert [store.find(key) for _, key in made] == [key_id for key_id, _ in made]


def test_list(tmp_path, capsys) -> None:
    manage(Registry(tmp_path), "list", None)
    assert capsys.readouterr().out == "no keys\n"
    key_id, key = KeyStore(tmp_path).create()
    manage(Registry(tmp_path), "list", None)
    shown = capsys.readouterr().out
    assert key_id in shown
    assert key not in shown


@pytest.mark.parametrize(
    ("action", "key", "error", "words"),
    [
        ("revoke", "nosuchid", InputError, "nosuchid"),
        ("revoke", None, ConfigError, "revoke ID"),
        ("create", "name", ConfigError, "no further word"),
        ("rotate", None, ConfigError, "create, list or revoke"),
    ],
)
def test_wrong_words(tmp_path, action, key, error: type[BedsideError], words) -> None:
    with pytest.raises(error, match=words):
        manage(Registry(tmp_path), action, key)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"keys": [{"id": "a"}]}', b"\xff"])
def test_a_damaged_file_lets_nobody_in_and_is_kept(tmp_path, content) -> None:
    store = KeyStore(tmp_path)
    _, key = store.create()
    assert store.find(key)
    store.path.unlink()
    store.path.write_bytes(content)
    for act in (lambda: store.find(key), store.create):
        with pytest.raises(ArtifactError, match=r"keys\.json"):
            act()
    assert store.path.read_bytes() == content


def test_home_that_cannot_be_written(home, monkeypatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "gateway")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ArtifactError, match=r"no right to write keys\.json"):
        KeyStore(home).create()
