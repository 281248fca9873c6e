"""Whose a pseudonym is: two people with the right must ask, and both stand in the audit first.

Tested in tests/inference/audit/test_manage.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.errors import PolicyError
from bedside_core.files import locked, write_atomic
from bedside_inference.audit.entries import AuditError, write_errors
from bedside_inference.audit.journal import AuditLog
from bedside_inference.audit.pseudonyms import Pseudonyms

VALID_SECONDS = 24 * 3600
"""How long the second person has."""
Find = Callable[[str], tuple[str, bool, frozenset[str]] | None]
"""The id of a valid API key, whether its holder may reidentify, and the ids of it and of all keys
that it was rotated from or to."""


class Wish(BaseModel):
    """A first person's wish."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asked_by: str
    """The first person's key, sealed."""
    at: float
    """Unix seconds."""


class Wishes(BaseModel):
    """`reidentification.json`, by pseudonym."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wishes: dict[str, Wish] = {}


class Reidentification:
    """The two-person rule."""

    def __init__(self, audit: AuditLog, pseudonyms: Pseudonyms, find: Find) -> None:
        """`audit`: started."""
        self.audit, self.pseudonyms, self.find = audit, pseudonyms, find
        self.path = audit.directory.parent / "reidentification.json"

    def ask(self, pseudonym: str, key: str) -> str | None:
        """Ask whose a pseudonym is.

        Returns:
            The subject, or none if this was the first of two people.

        Raises:
            PolicyError: the key may not, or its holder is the one who asked before.
            InputError: it is no pseudonym of this house.
            AuditError: the question cannot be recorded; nothing is revealed.
        """
        found = self.find(key)
        if found is None or not found[1]:
            asked_by = self.pseudonyms.of_key(found[0]) if found else None
            self._record("refused", pseudonym=None, asked_by=asked_by)
            raise PolicyError(
                "this key may not reidentify - set BEDSIDE_API_KEY to one that was made with "
                "--reidentify and --holder; the attempt was recorded"
            )
        subject, asked_by = self.pseudonyms.reveal(pseudonym), self.pseudonyms.of_key(found[0])
        with self._changing():
            now = time.time()
            wishes = {
                name: asked
                for name, asked in self._read().wishes.items()
                if 0 <= now - asked.at < VALID_SECONDS
            }
            first = wishes.pop(pseudonym, None)
            if first is None:
                self._record("requested", pseudonym=pseudonym, asked_by=asked_by)
                self._write({**wishes, pseudonym: Wish(asked_by=asked_by, at=now)})
                return None
            if self.pseudonyms.key_of(first.asked_by) in found[2]:
                self._record("refused", pseudonym=pseudonym, asked_by=asked_by)
                raise PolicyError(
                    "the holder of this key asked before, and a second person must agree - let "
                    "somebody else with that right run the same command; the attempt was recorded"
                )
            self._record(
                "revealed", pseudonym=pseudonym, asked_by=asked_by, requested_by=first.asked_by
            )
            self._write(wishes)
        return subject

    def _record(self, state: str, **ids: str | None) -> None:
        self.audit.write("reidentification", state=state, **{"requested_by": None, **ids})
        # On the disk before anything is said.
        self.audit.sync()

    def _read(self) -> Wishes:
        try:
            return Wishes.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return Wishes()
        except (OSError, ValidationError):
            raise AuditError(
                f"{self.path}: not readable - remove it; whoever asked asks again"
            ) from None

    def _write(self, wishes: dict[str, Wish]) -> None:
        content = Wishes(wishes=wishes).model_dump_json(indent=2).encode() + b"\n"
        write_atomic(self.path, content, mode=0o600)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with write_errors(self.path.parent), locked(self.path.with_suffix(".lock")):
            yield
