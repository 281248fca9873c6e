"""The publisher key: ECDSA on P-256 with SHA-256, which the tools of others can verify.

Model signing (OpenSSF) and sigstore's bundles know no Ed25519, so this key stands beside the
house's own two. It signs what is derived for others and decides nothing: no part of Bedside
believes a model because of it. The nonce is deterministic (RFC 6979): equal inputs, equal bytes.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from bedside_core.errors import ArtifactError
from bedside_core.files import disk_errors, lock_directory, write_atomic

NAME = "publisher.pem"
"""Of the private key, beside the operator's."""
_ALGORITHM = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


class Publisher:
    """The private key in a file (PEM, mode 0600)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        """Make the key if there is none, once, even if several processes do it at once.

        Raises:
            ArtifactError: it cannot be written.
        """
        with disk_errors("the publisher key"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = lock_directory(self.path.parent)
            try:
                if not self.path.exists():
                    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
                        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
                    )
                    write_atomic(self.path, pem, mode=0o600)
            finally:
                if lock is not None:
                    os.close(lock)

    def sign(self, message: bytes) -> bytes:
        """An ASN.1 DER signature, as OpenSSL makes and reads it.

        Raises:
            ArtifactError: there is no such key, others can read it, or it is another kind of key.
        """
        return self._private().sign(message, _ALGORITHM)

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        """The public half.

        Raises:
            ArtifactError: as `sign`.
        """
        return self._private().public_key()

    def _private(self) -> ec.EllipticCurvePrivateKey:
        try:
            mode = stat.S_IMODE(self.path.stat().st_mode)
            key = load_pem_private_key(self.path.read_bytes(), password=None)
        except FileNotFoundError:
            raise ArtifactError(
                f"{self.path}: no publisher key, so nothing can be signed for others - `bedside "
                "registry init` makes it; if it was there, restore it from a backup"
            ) from None
        except (OSError, ValueError, TypeError):
            key, mode = None, 0
        if mode & 0o077:
            raise ArtifactError(
                f"{self.path}: mode {mode:04o} lets others read the signing key - chmod 600 "
                f"{self.path}"
            )
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise ArtifactError(
                f"{self.path}: not a readable P-256 private key - restore it from a backup"
            )
        return key


def pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as `publisher.pub` holds it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 (hex) of the DER form: `openssl pkey -pubin -outform DER | sha256sum`."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()
