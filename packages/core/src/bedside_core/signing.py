"""Ed25519 (RFC 8032) signatures, with a key that is generated on first use."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
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

# Signed bytes carry this prefix, so that a signature of evidence is worth nothing elsewhere.
DOMAIN = b"bedside evidence v1\n"


class Keys:
    """A signing key (`<stem>.pem`, mode 0600) and its public half; by default a house's own."""

    def __init__(
        self,
        directory: Path,
        *,
        stem: str = "signing",
        domain: bytes = DOMAIN,
        private_path: Path | None = None,
    ) -> None:
        """`private_path`: where only the signer can read, if that is not beside the public half."""
        self.private_path = private_path or directory / f"{stem}.pem"
        self.public_path = directory / f"{stem}.pub"
        self.domain = domain

    def make(self) -> Path:
        """Make the key pair if there is none; returns the path of its public half."""
        self._private()
        return self.public_path

    def sign(self, message: bytes) -> str:
        """Sign; make the key pair first if there is none. Returns base64.

        Raises:
            ArtifactError: the private key can be read by others, or is no Ed25519 key.
        """
        return base64.b64encode(self._private().sign(self.domain + message)).decode()

    def verify(self, message: bytes, signature: str) -> None:
        """Check a signature against this house's public key, never one that came along with it.

        Raises:
            ArtifactError: the signature does not fit, or there is no public key.
        """
        key = read_public_key(self.public_path)
        try:
            key.verify(base64.b64decode(signature, validate=True), self.domain + message)
        except (InvalidSignature, ValueError):
            raise ArtifactError(
                "the evidence's signature does not fit this house's key - it was changed after "
                "signing or comes from elsewhere; run the evaluation again"
            ) from None

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
