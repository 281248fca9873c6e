"""A house's keys: made on purpose, once, and kept secret."""

from __future__ import annotations

import hashlib
import hmac
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
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

from bedside_core.errors import ArtifactError, ConfigError
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_core.signing import Keys, PublisherKeys, fingerprint, fits, read_public_key

DOMAIN = b"a test v1\n"


def pair(directory: Path) -> Keys:
    return Keys(directory, stem="evidence", domain=DOMAIN)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    found = pair(tmp_path / "keys")
    found.make()
    return found


def verifies(keys: Keys, message: bytes, signature: str) -> bool:
    return fits(read_public_key(keys.public_path), DOMAIN + message, signature)


def test_no_signature_makes_a_key(tmp_path: Path) -> None:
    for keys in (pair(tmp_path / "keys"), PublisherKeys(tmp_path / "keys", stem="publisher")):
        with pytest.raises(ArtifactError, match=r"is missing .* `bedside registry init`"):
            keys.sign(b"message")
    assert not (tmp_path / "keys").exists()


def test_key_is_made_once_for_the_owner_only(keys: Keys) -> None:
    first = keys.sign(b"message")
    keys.make()
    assert stat.S_IMODE(keys.private_path.stat().st_mode) == 0o600
    private = keys.private_path.read_bytes()
    assert keys.sign(b"message") == first  # Ed25519 is deterministic, so: the same key
    assert keys.private_path.read_bytes() == private
    assert verifies(keys, b"message", first)


def test_a_derived_secret_is_one_per_purpose_and_key(keys: Keys, tmp_path: Path) -> None:
    first, other = keys.derive(b"a"), pair(tmp_path / "other")
    other.make()
    assert keys.derive(b"a") == first
    assert len({first, keys.derive(b"b"), other.derive(b"a")}) == 3
    seed = load_pem_private_key(keys.private_path.read_bytes(), None).private_bytes_raw()
    # RFC 5869 by hand: extract with a salt of zeros, then the first block of expand.
    extracted = hmac.digest(bytes(32), seed, "sha256")
    assert first == hmac.digest(extracted, b"a\x01", "sha256")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_key_that_others_can_read_is_refused(keys: Keys, mode: int) -> None:
    keys.private_path.chmod(mode)
    with pytest.raises(
        ArtifactError, match=f"mode {mode:04o} lets others read.*chmod 600"
    ) as error:
        keys.sign(b"message")
    assert error.value.exit_code == 4


def test_another_house_is_refused(keys: Keys, tmp_path: Path) -> None:
    other = pair(tmp_path / "other")
    other.make()
    assert not verifies(keys, b"message", other.sign(b"message"))


@given(message=st.binary(max_size=50), other=st.binary(max_size=50))
def test_signature_fits_only_its_message(
    tmp_path_factory: pytest.TempPathFactory, message: bytes, other: bytes
) -> None:
    keys = pair(tmp_path_factory.getbasetemp() / "shared-keys")
    keys.make()
    signature = keys.sign(message)
    assert verifies(keys, message, signature)
    assert verifies(keys, other, signature) == (other == message)


@pytest.mark.parametrize("signature", ["", "AAAA", "!" * 88, "ä" * 88, "A" * 88])
def test_garbage_is_no_signature(keys: Keys, signature: str) -> None:
    assert not verifies(keys, b"message", signature)


def test_signature_is_worth_nothing_outside_its_domain(keys: Keys) -> None:
    private = load_pem_private_key(keys.private_path.read_bytes(), password=None)
    assert isinstance(private, Ed25519PrivateKey)
    import base64

    assert verifies(keys, b"m", base64.b64encode(private.sign(DOMAIN + b"m")).decode())
    assert not verifies(keys, b"m", base64.b64encode(private.sign(b"m")).decode())
    assert not verifies(keys, b"m", keys.sign(b"m", domain=b"another v1\n"))


def test_without_a_public_key_nothing_is_verified(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no readable public key"):
        read_public_key(tmp_path / "absent.pub")


def test_public_half_comes_back_from_the_private_one(keys: Keys) -> None:
    """A crash between the two writes must not end with a pair that does not fit."""
    signature = keys.sign(b"message")
    keys.public_path.unlink()
    keys.sign(b"other")
    assert verifies(keys, b"message", signature)


def test_lost_private_key_is_not_silently_replaced(keys: Keys) -> None:
    signature = keys.sign(b"message")
    keys.private_path.unlink()
    with pytest.raises(ArtifactError, match="is missing - restore it from a backup"):
        keys.sign(b"message")
    with pytest.raises(ArtifactError, match="is missing, though its public half is there"):
        keys.make()
    assert verifies(keys, b"message", signature)


def test_pair_that_does_not_belong_together(keys: Keys, tmp_path: Path) -> None:
    other = pair(tmp_path / "other")
    other.make()
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
    keys.private_path.write_bytes(content)
    keys.private_path.chmod(0o600)
    with pytest.raises(ArtifactError, match="not a readable Ed25519 private key"):
        keys.sign(b"message")


def test_unusable_public_key(keys: Keys) -> None:
    public = rsa.generate_private_key(65537, 2048).public_key()
    keys.public_path.write_bytes(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(ArtifactError, match="not an Ed25519 public key"):
        read_public_key(keys.public_path)


def test_two_processes_that_make_a_key_at_once_share_it(tmp_path: Path) -> None:
    keys = pair(tmp_path / "keys")
    code = (
        "import sys; from pathlib import Path; from bedside_core.signing import Keys;"
        "keys = Keys(Path(sys.argv[1]), stem='evidence', domain=b'a test v1\\n');"
        "sys.stdin.readline(); keys.make(); print(keys.sign(b'message'))"
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
    assert verifies(keys, b"message", signatures.pop())


def test_the_publishers_key_is_p256(tmp_path: Path) -> None:
    keys = PublisherKeys(tmp_path / "keys", stem="publisher")
    keys.make()
    signature = keys.sign(b"message")
    public = keys.public
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signature, b"message", ec.ECDSA(hashes.SHA256()))
    keys.private_path.write_bytes(pem(Ed25519PrivateKey.generate()))
    with pytest.raises(ArtifactError, match="not a readable P-256 private key"):
        keys.sign(b"message")


def test_a_successor_takes_a_keys_place(keys: Keys) -> None:
    former = keys.key_id
    successor = keys.successor
    successor.make()
    keys.replace()
    assert keys.key_id != former
    assert fingerprint(read_public_key(keys.public_path))[:16] == keys.key_id
    assert sorted(p.name for p in keys.private_path.parent.iterdir()) == [
        "evidence.pem", "evidence.pub",
    ]  # fmt: skip


def test_key_id_is_what_openssl_says(keys: Keys) -> None:
    command = ["openssl", "pkey", "-pubin", "-in", str(keys.public_path), "-outform", "DER"]
    try:
        der = subprocess.run(command, capture_output=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("no openssl here")
    assert fingerprint(read_public_key(keys.public_path)) == hashlib.sha256(der).hexdigest()
    assert keys.key_id == hashlib.sha256(der).hexdigest()[:16]


def test_private_keys_kept_apart_from_the_registry(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEDSIDE_EVIDENCE_KEY", str(tmp_path / "eval" / "evidence.pem"))
    monkeypatch.setenv("BEDSIDE_OPERATOR_KEY", str(tmp_path / "desk" / "operator.pem"))
    found(Registry.from_environment())
    names = {
        folder: sorted(path.name for path in (tmp_path / folder).iterdir())
        for folder in ("home/keys", "eval", "desk")
    }
    assert names == {
        "home/keys": ["evidence.pub", "operator.pub", "publisher.pub"],
        "eval": ["evidence.pem"],
        "desk": ["operator.pem", "operator.seen", "publisher.pem"],
    }


def test_the_former_name_of_the_setting_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path))
    monkeypatch.setenv("BEDSIDE_SIGNING_KEY", str(tmp_path / "key.pem"))
    with pytest.raises(ConfigError, match="BEDSIDE_SIGNING_KEY is now BEDSIDE_EVIDENCE_KEY"):
        Registry.from_environment()
