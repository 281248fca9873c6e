"""Signed checkpoints: the end of the chain under the house's own audit key (Ed25519).

Tested in tests/inference/audit/test_verify.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core import signing
from bedside_core.config import canonical_json
from bedside_core.files import locked, write_atomic
from bedside_core.signing import Keys, read_public_key
from bedside_inference.audit.entries import AuditError

DOMAIN = b"bedside audit v1\n"


def audit_keys(directory: Path) -> Keys:
    """The signing key of the audit log in a directory; it lies in `keys/` beside that."""
    return Keys(directory.parent / "keys", stem="audit", domain=DOMAIN)


class Checkpoint(BaseModel):
    """The number and hash of an entry, signed; as it stands in the log, extra members ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    seq: int
    hash: str
    signature: str
    """Base64, of `checkpoint\\n` and the canonical JSON of `seq` and `hash`, after the domain."""

    @classmethod
    def sign(cls, keys: Keys, seq: int, digest: str) -> Checkpoint:
        """Sign the end of the chain.

        Raises:
            ArtifactError: the key cannot be used.
        """
        return cls(seq=seq, hash=digest, signature=keys.sign(_message(seq, digest)))

    def verify(self, key: Ed25519PublicKey) -> None:
        """Check the signature.

        Raises:
            AuditError: it does not fit.
        """
        if not fits(key, _message(self.seq, self.hash), self.signature):
            raise AuditError(
                f"the checkpoint of entry {self.seq} is not signed with this house's audit key"
            )


def tombstone_message(members: Mapping[str, object]) -> bytes:
    """What a tombstone's signature covers, after the domain."""
    signed = (
        *("segment", "first_seq", "last_seq", "last_hash", "records"),
        *("first_time", "last_time", "sha256"),
    )
    return b"tombstone\n" + canonical_json({name: members[name] for name in signed})


def _message(seq: int, digest: str) -> bytes:
    return b"checkpoint\n" + canonical_json({"seq": seq, "hash": digest})


def fits(key: Ed25519PublicKey, message: bytes, signature: str) -> bool:
    """Whether an audit signature (base64) belongs to a message."""
    return signing.fits(key, DOMAIN + message, signature)


def checkpoint_path(directory: Path) -> Path:
    return directory.parent / "checkpoint.json"


def read_checkpoint(directory: Path) -> Checkpoint | None:
    """The last checkpoint, kept apart from the chain; none before the first.

    Raises:
        AuditError: it is not readable or not signed with this house's key.
        ArtifactError: there is no public key.
    """
    path = checkpoint_path(directory)
    try:
        found = Checkpoint.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise AuditError(f"{path}: not a readable checkpoint - restore it from a backup") from None
    found.verify(read_public_key(audit_keys(directory).public_path))
    return found


def write_checkpoint(directory: Path, checkpoint: Checkpoint) -> None:
    """Keep the last checkpoint beside the chain; call it when the signed entry is on the disk.

    One that another process has signed later stays, or a log cut to this one would verify.
    """
    path = checkpoint_path(directory)
    with locked(path.with_suffix(".lock")):
        kept = read_checkpoint(directory)
        if kept is None or kept.seq < checkpoint.seq:
            write_atomic(path, checkpoint.model_dump_json().encode() + b"\n")
