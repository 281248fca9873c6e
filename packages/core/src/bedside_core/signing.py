"""Ed25519 (RFC 8032) signatures; a house's keys, each with one purpose, made on first use.

    evidence.pem   the evaluation alone: signs evidence, and its looks in the registry's log
    operator.pem   the operator: signs what is promoted, rolled back, withdrawn and deleted

A key's id is the first 16 characters of the SHA-256 (hex) of its public half (DER), so
`openssl pkey -pubin -in evidence.pub -outform DER | sha256sum` prints it. Signed bytes begin with
their domain, so that a signature of one kind of thing is worth nothing for another.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from bedside_core.errors import ArtifactError
from bedside_core.files import disk_errors, lock_directory, write_atomic

KEY_ID_CHARS = 16


class Keys:
    """A signing key (`<stem>.pem`, mode 0600) and its public half (`<stem>.pub`)."""

    def __init__(
        self, directory: Path, *, stem: str, domain: bytes, private_path: Path | None = None
    ) -> None:
        """`private_path`: where only the signer can read, if that is not beside the public half."""
        self.private_path = private_path or directory / f"{stem}.pem"
        self.public_path = directory / f"{stem}.pub"
        self.domain = domain

    def make(self) -> Path:
        """Make the key pair if there is none; returns the path of its public half."""
        self._private()
        return self.public_path

    def sign(self, message: bytes, *, domain: bytes | None = None) -> str:
        """Sign; make the key pair first if there is none. Returns base64.

        Raises:
            ArtifactError: the private key can be read by others, or is no Ed25519 key.
        """
        signed = (self.domain if domain is None else domain) + message
        return base64.b64encode(self._private().sign(signed)).decode()

    def derive(self, purpose: bytes) -> bytes:
        """A secret of 32 bytes for what is no signature (HKDF-SHA256, RFC 5869).

        Args:
            purpose: one for each use; equal ones give equal secrets.

        Raises:
            ArtifactError: as `sign`.
        """
        seed = self._private().private_bytes_raw()
        return HKDF(hashes.SHA256(), length=32, salt=None, info=purpose).derive(seed)

    def fits(self, message: bytes, signature: str) -> bool:
        """Whether a signature is this house's, by its public key and none that came along with it.

        Raises:
            ArtifactError: there is no public key.
        """
        return fits(read_public_key(self.public_path), self.domain + message, signature)

    @property
    def key_id(self) -> str:
        """The first characters of the public half's SHA-256.

        Raises:
            ArtifactError: there is no public key.
        """
        return key_id(read_public_key(self.public_path))

    def _private(self) -> Ed25519PrivateKey:
        if not self.private_path.exists():
            self._generate()
        mode = stat.S_IMODE(self.private_path.stat().st_mode)
        if mode & 0o077:
            raise ArtifactError(
                f"{self.private_path}: mode {mode:04o} lets others read the signing key - "
                f"chmod 600 {self.private_path}"
            )
        try:
            key = load_pem_private_key(self.private_path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise ArtifactError(
                f"{self.private_path}: not a readable Ed25519 private key - restore the keys "
                "folder from a backup"
            )
        self._publish(key)
        return key

    def _generate(self) -> None:
        """Make the private key, once, even if several processes sign for the first time at once."""
        directory = self.private_path.parent
        with disk_errors("the signing key"):
            directory.mkdir(parents=True, exist_ok=True)
            lock = lock_directory(directory)
            try:
                if self.private_path.exists():
                    return
                if self.public_path.exists():
                    raise ArtifactError(
                        f"{self.private_path} is missing, though its public half is there - "
                        "restore it from a backup; a new key would void every signature made so far"
                    )
                private = Ed25519PrivateKey.generate().private_bytes(
                    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
                )
                write_atomic(self.private_path, private, mode=0o600)
            finally:
                if lock is not None:
                    os.close(lock)

    def _publish(self, key: Ed25519PrivateKey) -> None:
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        if not self.public_path.exists():
            write_atomic(self.public_path, public)
        elif self.public_path.read_bytes() != public:
            raise ArtifactError(
                f"{self.public_path} does not belong to {self.private_path.name} - restore the "
                "keys folder from a backup"
            )


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file.

    Raises:
        ArtifactError: there is none, or one of another kind.
    """
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError):
        raise ArtifactError(f"{path}: no readable public key - restore it from a backup") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ArtifactError(f"{path}: not an Ed25519 public key")
    return key


def fits(key: Ed25519PublicKey, message: bytes, signature: str) -> bool:
    """Whether a signature (base64) over a message, domain included, was made with a key."""
    try:
        key.verify(base64.b64decode(signature, validate=True), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the key's DER form, as `openssl pkey -pubin -outform DER | sha256sum` prints."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def key_id(key: Ed25519PublicKey) -> str:
    """The short name of a key: the first 16 characters of its fingerprint."""
    return fingerprint(key)[:KEY_ID_CHARS]
