"""A house's key pairs, each with one purpose: where they lie, and signing with them.

    evidence.pem    Ed25519 (RFC 8032), the evaluation alone: evidence, and its looks in the log
    operator.pem    Ed25519, the operator: what is promoted, rolled back, withdrawn and deleted
    publisher.pem   P-256 (FIPS 186-5), beside the operator's: the public formats, for tools of
                    others, most of which do not read Ed25519

Keys are made by one command each and never by a signature: a new key that nobody asked for would
void, without a word, all that was signed before. A key's fingerprint is the SHA-256 (hex) of its
public half (DER), so `openssl pkey -pubin -in evidence.pub -outform DER | sha256sum` prints it; its
id is the first 16 characters of that. What Ed25519 signs begins with its domain, so that a
signature of one kind of thing is worth nothing for another.

Verification takes public keys from the registry's chain (`registry.keyring`); the halves in
`keys/*.pub` are copies, for openssl and others.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
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
from bedside_core.files import disk_errors, lock_directory, sync, write_atomic

KEY_ID_CHARS = 16
PublicKey = Ed25519PublicKey | ec.EllipticCurvePublicKey
_PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


class KeyPair:
    """A private key (`<stem>.pem`, mode 0600) and its public half (`<stem>.pub`)."""

    algorithm = "Ed25519"

    def __init__(self, directory: Path, *, stem: str, private_path: Path | None = None) -> None:
        """`private_path`: where only the signer can read, if that is not beside the public half."""
        self.private_path = private_path or directory / f"{stem}.pem"
        self.public_path = directory / f"{stem}.pub"

    def make(self) -> Path:
        """Make the key pair if there is none; returns the path of its public half.

        Safe to call from several processes at once.

        Raises:
            ArtifactError: the public half is there and the private one is not, or not its own; or
                it can be read by others.
        """
        if not self.private_path.exists():
            self._generate()
        self.load()
        return self.public_path

    def load(self) -> _PrivateKey:
        """The private key; its public half is put back beside it if it is gone.

        Raises:
            ArtifactError: there is none, it can be read by others, is of another kind, or the
                public half is another's.
        """
        try:
            mode = stat.S_IMODE(self.private_path.stat().st_mode)
        except FileNotFoundError:
            raise ArtifactError(
                f"{self.private_path} is missing - restore it from a backup; only a new house "
                "makes its keys, with `bedside registry init`"
            ) from None
        if mode & 0o077:
            raise ArtifactError(
                f"{self.private_path}: mode {mode:04o} lets others read the signing key - "
                f"chmod 600 {self.private_path}"
            )
        try:
            key = load_pem_private_key(self.private_path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError):
            key = None
        if not self._is_ours(key):
            raise ArtifactError(
                f"{self.private_path}: not a readable {self.algorithm} private key - restore the "
                "keys folder from a backup"
            )
        assert isinstance(key, _PrivateKey)  # noqa: S101 - what `_is_ours` means
        self._publish(key.public_key())
        return key

    @property
    def public(self) -> PublicKey:
        """The public half of the private key that is here.

        Raises:
            ArtifactError: see `load`.
        """
        return self.load().public_key()

    @property
    def key_id(self) -> str:
        """The short name of the key that is here.

        Raises:
            ArtifactError: see `load`.
        """
        return key_id(self.public)

    @property
    def successor(self) -> KeyPair:
        """The pair that shall take this one's place; both halves lie where the private one does."""
        stem = f"{self.private_path.stem}-next"
        return type(self)(self.private_path.parent, stem=stem)

    def replace(self) -> None:
        """Put the successor in this pair's place; the former private key is destroyed."""
        new = self.successor
        with disk_errors("the signing key"):
            # A crash may leave a private half without its public one, which comes back by itself.
            new.public_path.unlink(missing_ok=True)
            self.public_path.unlink(missing_ok=True)
            new.private_path.replace(self.private_path)
            sync(self.private_path.parent)
        self.load()

    def _create(self) -> _PrivateKey:
        return Ed25519PrivateKey.generate()

    def _is_ours(self, key: object) -> bool:
        return isinstance(key, Ed25519PrivateKey)

    def _generate(self) -> None:
        """Make the private key, once, even if several processes ask at once."""
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
                private = self._create().private_bytes(
                    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
                )
                write_atomic(self.private_path, private, mode=0o600)
            finally:
                if lock is not None:
                    os.close(lock)

    def _publish(self, key: PublicKey) -> None:
        public = pem(key)
        if not self.public_path.exists():
            write_atomic(self.public_path, public)
        elif self.public_path.read_bytes() != public:
            raise ArtifactError(
                f"{self.public_path} does not belong to {self.private_path.name} - restore the "
                "keys folder from a backup"
            )


class Keys(KeyPair):
    """An Ed25519 key pair that signs under a domain."""

    def __init__(
        self, directory: Path, *, stem: str, domain: bytes = b"", private_path: Path | None = None
    ) -> None:
        super().__init__(directory, stem=stem, private_path=private_path)
        self.domain = domain

    def sign(self, message: bytes, *, domain: bytes | None = None) -> str:
        """Sign; returns base64. No key is ever made here.

        Raises:
            ArtifactError: there is no private key, others can read it, or it is no Ed25519 key.
        """
        key = self.load()
        assert isinstance(key, Ed25519PrivateKey)  # noqa: S101 - what `_is_ours` means
        signed = (self.domain if domain is None else domain) + message
        return base64.b64encode(key.sign(signed)).decode()

    def derive(self, purpose: bytes) -> bytes:
        """A secret of 32 bytes for what is no signature (HKDF-SHA256, RFC 5869).

        Args:
            purpose: one for each use; equal ones give equal secrets.

        Raises:
            ArtifactError: as `sign`.
        """
        key = self.load()
        assert isinstance(key, Ed25519PrivateKey)  # noqa: S101 - what `_is_ours` means
        seed = key.private_bytes_raw()
        return HKDF(hashes.SHA256(), length=32, salt=None, info=purpose).derive(seed)


class PublisherKeys(KeyPair):
    """A P-256 key pair, for signatures that tools of others verify."""

    algorithm = "P-256"

    def sign(self, message: bytes) -> bytes:
        """ECDSA with SHA-256 (FIPS 186-5), in DER.

        The nonce is deterministic (RFC 6979), so that equal messages give equal bytes.

        Raises:
            ArtifactError: there is no private key, others can read it, or it is no P-256 key.
        """
        key = self.load()
        assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - what `_is_ours` means
        return key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))

    def _create(self) -> _PrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    def _is_ours(self, key: object) -> bool:
        return isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)


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


def der(key: PublicKey) -> bytes:
    """A public key as SubjectPublicKeyInfo (RFC 5280)."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pem(key: PublicKey) -> bytes:
    """The same, as a `.pub` file holds it (RFC 7468)."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: PublicKey) -> str:
    """SHA-256 of the key's DER form, as `openssl pkey -pubin -outform DER | sha256sum` prints."""
    return hashlib.sha256(der(key)).hexdigest()


def key_id(key: PublicKey) -> str:
    """The short name of a key: the first 16 characters of its fingerprint."""
    return fingerprint(key)[:KEY_ID_CHARS]
