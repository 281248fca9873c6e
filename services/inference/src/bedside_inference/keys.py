"""API keys: 256 random bits, shown once, kept as SHA-256 (so much entropy needs no salt)."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core import log
from bedside_core.artifacts import disk_errors, write_atomic
from bedside_core.console import say, table
from bedside_core.errors import ArtifactError, ConfigError, InputError
from bedside_core.registry import Registry

logger = logging.getLogger(__name__)

PREFIX = "bsk-"
KEY_BYTES = 32
ID_BYTES = 4


class StoredKey(BaseModel):
    """A key as it is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    sha256: str
    created: datetime


class KeyFile(BaseModel):
    """`BEDSIDE_HOME/gateway/keys.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: tuple[StoredKey, ...] = ()


class KeyStore:
    """The keys of a house; a reader sees a change at its next look."""

    def __init__(self, home: Path) -> None:
        self.path = home / "gateway" / "keys.json"
        self._version: tuple[int, int] | None = None
        self._keys: tuple[StoredKey, ...] = ()

    def all(self) -> tuple[StoredKey, ...]:
        """Every valid key, oldest first.

        Raises:
            ArtifactError: the file cannot be read; nobody is let in then.
        """
        try:
            found = self.path.stat()
            version = (found.st_ino, found.st_mtime_ns)
            if version != self._version:
                self._keys = KeyFile.model_validate_json(self.path.read_bytes()).keys
                self._version = version
        except FileNotFoundError:
            self._version, self._keys = None, ()
        except (OSError, ValidationError):
            self._version, self._keys = None, ()
            raise ArtifactError(
                f"{self.path}: not a readable key file - restore it from a backup, or remove it "
                "and create new keys"
            ) from None
        return self._keys

    def find(self, key: str) -> str | None:
        """The id of a valid key, in a time that does not depend on which one it is."""
        digest = hashlib.sha256(key.encode(errors="replace")).hexdigest()
        found = None
        for stored in self.all():
            if hmac.compare_digest(stored.sha256, digest):
                found = stored.id
        return found

    def create(self) -> tuple[str, str]:
        """Make a key; returns its id and the key itself, which is not kept."""
        key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
        stored = StoredKey(
            id=secrets.token_hex(ID_BYTES),
            sha256=hashlib.sha256(key.encode()).hexdigest(),
            created=datetime.now(UTC),
        )
        with self._writing():
            self._write((*self.all(), stored))
        return stored.id, key

    def revoke(self, key_id: str) -> None:
        """Remove a key.

        Raises:
            InputError: there is none with this id.
        """
        with self._writing():
            keys = self.all()
            kept = tuple(key for key in keys if key.id != key_id)
            if len(kept) == len(keys):
                raise InputError(
                    f"no key has the id {key_id!r} - `bedside inference keys list` shows them"
                )
            self._write(kept)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with disk_errors(self.path.name):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self.path.parent / "keys.lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield

    def _write(self, keys: tuple[StoredKey, ...]) -> None:
        content = KeyFile(keys=keys).model_dump_json(indent=2).encode() + b"\n"
        write_atomic(self.path, content, mode=0o600)


def manage(registry: Registry, action: str, key: str | None) -> None:
    """`bedside inference keys create | list | revoke ID`.

    Raises:
        ConfigError: another action, or an id too many or too few.
        InputError: no key has that id.
    """
    store = KeyStore(registry.home)
    match action, key:
        case "create", None:
            key_id, secret = store.create()
            logger.info("key created, shown only this once", extra=log.fields(key=key_id))
            say(secret)
        case "list", None:
            rows = [[k.id, f"{k.created:%Y-%m-%d %H:%M} UTC"] for k in store.all()]
            say(table([["id", "created"], *rows]) if rows else "no keys")
        case "revoke", str(key_id):
            store.revoke(key_id)
            logger.info("key revoked", extra=log.fields(key=key_id))
        case "revoke", None:
            raise ConfigError("revoke which key? - `bedside inference keys revoke ID`")
        case "create" | "list", _:
            raise ConfigError(f"keys {action} takes no further word")
        case _:
            raise ConfigError(f"keys: unknown action {action!r} - use create, list or revoke")
