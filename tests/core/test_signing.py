"""The house's key: made once, kept secret, and the only one that counts."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.errors import ArtifactError
from bedside_core.registry import Registry
from bedside_core.signing import DOMAIN, Keys


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


def test_key_is_made_on_first_use_for_the_owner_only(keys: Keys) -> None:
    first = keys.sign(b"message")
    assert stat.S_IMODE(keys.private_path.stat().st_mode) == 0o600
    private = keys.private_path.read_bytes()
    assert keys.sign(b"message") == first  # Ed25519 is deterministic, so: the same key
    assert keys.private_path.read_bytes() == private
    keys.verify(b"message", first)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_key_that_others_can_read_is_refused(keys: Keys, mode: int) -> None:
    keys.sign(b"")
    keys.private_path.chmod(mode)
    with pytest.raises(
        ArtifactError, match=f"mode {mode:04o} lets others read.*chmod 600"
    ) as error:
        keys.sign(b"message")
    assert error.value.exit_code == 4


def test_another_house_is_refused(keys: Keys, tmp_path: Path) -> None:
    keys.sign(b"")
    with pytest.raises(ArtifactError, match="does not fit this house's key"):
        keys.verify(b"message", Keys(tmp_path / "other").sign(b"message"))


@given(message=st.binary(max_size=50), other=st.binary(max_size=50))
def test_signature_fits_only_its_message(
    tmp_path_factory: pytest.TempPathFactory, message: bytes, other: bytes
) -> None:
    keys = Keys(tmp_path_factory.getbasetemp() / "shared-keys")
    signature = keys.sign(message)
    keys.verify(message, signature)
    if other != message:
        with pytest.raises(ArtifactError):
            keys.verify(other, signature)


@pytest.mark.parametrize("signature", ["", "AAAA", "!" * 88, "ä" * 88, "A" * 88])
def test_garbage_is_no_signature(keys: Keys, signature: str) -> None:
    keys.sign(b"")
    with pytest.raises(ArtifactError, match="does not fit"):
        keys.verify(b"message", signature)


def test_signature_is_worth_nothing_outside_its_domain(keys: Keys) -> None:
    keys.sign(b"")
    private = load_pem_private_key(keys.private_path.read_bytes(), password=None)
    assert isinstance(private, Ed25519PrivateKey)
    import base64

    keys.verify(b"m", base64.b64encode(private.sign(DOMAIN + b"m")).decode())
    with pytest.raises(ArtifactError):
        keys.verify(b"m", base64.b64encode(private.sign(b"m")).decode())


def test_without_a_public_key_nothing_is_verified(keys: Keys) -> None:
    with pytest.raises(ArtifactError, match="no readable public key"):
        keys.verify(b"", "")


def test_public_half_comes_back_from_the_private_one(keys: Keys) -> None:
    """A crash between the two writes must not end with a pair that does not fit."""
    signature = keys.sign(b"message")
    keys.public_path.unlink()
    keys.sign(b"other")
    keys.verify(b"message", signature)


def test_lost_private_key_is_not_silently_replaced(keys: Keys) -> None:
    signature = keys.sign(b"message")
    keys.private_path.unlink()
    with pytest.raises(ArtifactError, match="is missing, though its public half is there"):
        keys.sign(b"message")
    keys.verify(b"message", signature)


def test_pair_that_does_not_belong_together(keys: Keys, tmp_path: Path) -> None:
    other = Keys(tmp_path / "other")
    keys.sign(b"")
    other.sign(b"")
    keys.public_path.write_bytes(other.public_path.read_bytes())
    with pytest.raises(ArtifactError, match="does not belong to"):
        keys.sign(b"message")


def pem(key: Ed25519PrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a key",
        pem(Ed25519PrivateKey.generate(), b"password"),
        pem(rsa.generate_private_key(65537, 2048)),
    ],
    ids=["empty", "garbage", "encrypted", "rsa"],
)
def test_unusable_private_key(keys: Keys, content: bytes) -> None:
    keys.private_path.parent.mkdir()
    keys.private_path.write_bytes(content)
    keys.private_path.chmod(0o600)
    with pytest.raises(ArtifactError, match="not a readable Ed25519 private key"):
        keys.sign(b"message")


def test_unusable_public_key(keys: Keys) -> None:
    signature = keys.sign(b"m")
    public = rsa.generate_private_key(65537, 2048).public_key()
    keys.public_path.write_bytes(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(ArtifactError, match="not an Ed25519 public key"):
        keys.verify(b"m", signature)


def test_two_processes_that_sign_first_at_once_share_one_key(keys: Keys) -> None:
    code = (
        "import sys; from pathlib import Path; from bedside_core.signing import Keys;"
        "sys.stdin.readline(); print(Keys(Path(sys.argv[1])).sign(b'message'))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(keys.private_path.parent)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    signatures = {process.communicate("go\n")[0].strip() for process in processes}
    assert len(signatures) == 1
    keys.verify(b"message", signatures.pop())


def test_private_key_kept_apart_from_the_registry(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEDSIDE_SIGNING_KEY", str(tmp_path / "apart" / "key.pem"))
    signature = Registry.from_environment().keys.sign(b"evidence")
    assert [path.name for path in (tmp_path / "home" / "keys").iterdir()] == ["signing.pub"]
    monkeypatch.delenv("BEDSIDE_SIGNING_KEY")
    Registry.from_environment().keys.verify(b"evidence", signature)
