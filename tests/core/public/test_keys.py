"""The publisher key: deterministic signatures that OpenSSL reads, and what is refused."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bedside_core.errors import ArtifactError
from bedside_core.public.keys import Publisher, fingerprint, pem


def test_rfc_6979_vector(tmp_path):
    """RFC 6979, A.2.5, P-256 with SHA-256, message "sample"."""
    number = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    key = ec.derive_private_key(number, ec.SECP256R1())
    path = tmp_path / "publisher.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    signature = Publisher(path).sign(b"sample").hex()
    assert "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716" in signature
    assert signature.endswith("f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_openssl_reads_it(tmp_path, publisher):
    for name, data in (
        ("m", b"text"),
        ("s", publisher.sign(b"text")),
        ("p", pem(publisher.public)),
    ):
        (tmp_path / name).write_bytes(data)
    command = ["openssl", "dgst", "-sha256", "-verify", "p", "-signature", "s", "m"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
    (tmp_path / "m").write_bytes(b"tex")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode != 0
    der = ["openssl", "pkey", "-pubin", "-in", "p", "-outform", "DER"]
    printed = subprocess.run(der, cwd=tmp_path, capture_output=True, check=True).stdout
    assert hashlib.sha256(printed).hexdigest() == fingerprint(publisher.public)


def test_what_is_no_key_is_refused(tmp_path, publisher):
    with pytest.raises(ArtifactError, match=r"no publisher key.*registry init"):
        Publisher(tmp_path / "none.pem").sign(b"")
    for other in (Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())):
        raw = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        publisher.path.write_bytes(raw)
        with pytest.raises(ArtifactError, match="not a readable P-256 private key"):
            publisher.sign(b"")
    publisher.path.chmod(0o640)
    with pytest.raises(ArtifactError, match="mode 0640 lets others read"):
        publisher.sign(b"")
