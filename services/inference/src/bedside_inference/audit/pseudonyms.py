"""Pseudonyms of people: the same within a period, unlinkable over two, reversible with its key.

A pseudonym is `<period>.<base64url>` of AES-SIV (RFC 5297) over the subject, padded as in ISO/IEC
7816-4 to a multiple of 64 bytes so that its length says little, with the period as associated data.
Each period has a random key; once that is deleted, nobody can tell whose its pseudonyms were.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.errors import ArtifactError, InputError
from bedside_core.files import locked, write_atomic
from bedside_inference.audit.entries import AuditError, write_errors
from bedside_inference.config import AuditConfig

KEY_BITS = 512
BLOCK_BYTES = 64
CACHED = 4096
GRACE_SECONDS = 86400
"""How long after its end a period's key is kept in any case: long requests end late."""
_DAY = 86400
KEY_ACT = "key "
"""What an act on a key is sealed with before the key's id."""


class Period(BaseModel):
    """A span of time with a key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    since: int
    """Unix seconds."""
    until: int
    key: str
    """Base64."""

    def hide(self, subject: str) -> str:
        text = subject.encode(errors="surrogatepass") + b"\x80"
        padded = text.ljust(-(-len(text) // BLOCK_BYTES) * BLOCK_BYTES, b"\0")
        sealed = self._cipher.encrypt(padded, [b"%d" % self.number])
        return f"{self.number}.{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"

    def reveal(self, sealed: bytes) -> str:
        padded = self._cipher.decrypt(sealed, [b"%d" % self.number])
        return padded.rstrip(b"\0")[:-1].decode(errors="surrogatepass")

    @property
    def _cipher(self) -> AESSIV:
        return AESSIV(base64.b64decode(self.key))


class PeriodFile(BaseModel):
    """`keys/pseudonyms.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    last: int = 0
    """The highest number ever given, so that none comes twice."""
    periods: tuple[Period, ...] = ()


class Pseudonyms:
    """The pseudonyms of the house whose audit log lies in a directory."""

    def __init__(self, directory: Path, config: AuditConfig) -> None:
        self.path = directory.parent / "keys" / "pseudonyms.json"
        self.seconds = config.pseudonym_days * _DAY
        self._period: Period | None = None
        self._known: dict[str, str] = {}

    def of(self, subject: str) -> str:
        """The subject's pseudonym at this time.

        Raises:
            AuditError: the keys cannot be read or written.
        """
        now = time.time()
        period = self._period
        if period is None or not period.since <= now < period.until:
            period = self._period = self._at(now)
            self._known = {}
        known = self._known
        if (found := known.get(subject)) is None:
            if len(known) >= CACHED:
                known.clear()
            found = known[subject] = period.hide(subject)
        return found

    def of_address(self, address: str) -> str:
        """Where somebody asks from: not to be told from another place without the key.

        Raises:
            AuditError: the keys cannot be read or written.
        """
        return self.of(f"address {address}")

    def of_key(self, key_id: str) -> str:
        """What an act on a key, or of its holder as an officer, is recorded as.

        Another text than the subject of its requests, so that neither leads to the other.

        Raises:
            AuditError: the keys cannot be read or written.
        """
        return self.of(f"{KEY_ACT}{key_id}")

    def key_of(self, sealed: str) -> str:
        """The id of the key behind a pseudonym, of its requests or of an act on it.

        Raises:
            InputError: its key was deleted.
            AuditError: the keys cannot be read.
        """
        return self.reveal(sealed).removeprefix(KEY_ACT)

    def reveal(self, pseudonym: str) -> str:
        """Whose it is.

        Raises:
            InputError: it is none of this house, or its key was deleted.
            AuditError: the keys cannot be read.
        """
        number, _, text = pseudonym.partition(".")
        for period in self._read().periods:
            if str(period.number) == number:
                try:
                    padding = "=" * (-len(text) % 4)
                    return period.reveal(base64.b64decode(text + padding, b"-_", validate=True))
                except (InvalidTag, ValueError):
                    break
        raise InputError(
            "this is no pseudonym of this house, or its key was deleted with the last entry of its "
            "time - copy it as it stands in the audit log"
        )

    def all_of(self, subject: str) -> set[str]:
        """The subject's pseudonyms in every period whose key is there.

        Raises:
            AuditError: the keys cannot be read.
        """
        periods = self._read().periods
        return {
            period.hide(text) for period in periods for text in (subject, f"{KEY_ACT}{subject}")
        }

    def forget(self, used: set[int]) -> int:
        """Delete the keys of past periods that no entry uses; returns how many.

        Raises:
            AuditError: the keys cannot be read or written.
        """
        limit = time.time() - GRACE_SECONDS
        with self._changing():
            file = self._read()
            kept = tuple(p for p in file.periods if p.number in used or p.until > limit)
            if len(kept) < len(file.periods):
                self._write(file.model_copy(update={"periods": kept}))
            return len(file.periods) - len(kept)

    def _at(self, now: float) -> Period:
        with self._changing():
            file = self._read()
            for period in reversed(file.periods):
                if period.since <= now < period.until:
                    return period
            since = int(now // self.seconds) * self.seconds
            key = base64.b64encode(AESSIV.generate_key(KEY_BITS)).decode()
            number = file.last + 1
            period = Period(number=number, since=since, until=since + self.seconds, key=key)
            self._write(PeriodFile(last=number, periods=(*file.periods, period)))
            return period

    def _read(self) -> PeriodFile:
        try:
            return PeriodFile.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return PeriodFile()
        except (OSError, ValidationError):
            raise AuditError(
                f"{self.path}: no readable pseudonym keys - restore them from a backup"
            ) from None

    def _write(self, file: PeriodFile) -> None:
        try:
            write_atomic(self.path, file.model_dump_json(indent=2).encode() + b"\n", mode=0o600)
        except ArtifactError as error:
            raise AuditError(f"{error}") from error

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with write_errors(self.path.parent):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(self.path.parent / "pseudonyms.lock"):
                yield
