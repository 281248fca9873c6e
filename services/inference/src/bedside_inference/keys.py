"""API keys: 256 random bits, shown once, kept as a hash; each ends by itself."""

from __future__ import annotations

import logging
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from bedside_core import log
from bedside_core.console import say, table
from bedside_core.errors import InputError
from bedside_inference.config import StateConfig
from bedside_inference.names import DEPARTMENT_CHARS
from bedside_inference.state import schema
from bedside_inference.state.records import KEY_BYTES, PREFIX, Key, Scope, digest_of
from bedside_inference.state.store import Audit, Change, Store

logger = logging.getLogger(__name__)

ID_BYTES = 4
LISTED = [
    *("id", "holder", "label", "department", "class", "purpose", "models", "requests/min"),
    *("tokens/min", "reidentify", "created", "expires", "last used", "state"),
]
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made."""

    id: str
    secret: str = field(repr=False)
    """The key itself; nobody can show it again."""


def create(store: Store, scope: Scope, *, days: int, audit: Audit) -> NewKey:
    """Make a key that is valid for so many days.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    [made] = create_all(store, [(scope, days)], audit=audit)
    return made


def create_all(
    store: Store,
    wanted: Iterable[tuple[Scope, int]],
    *,
    audit: Audit,
    deliver: Callable[[list[NewKey]], None] = lambda made: None,
    settle: Callable[[], None] = lambda: None,
) -> list[NewKey]:
    """Make several keys, all or none; each is valid for so many days.

    Args:
        store: holds them.
        wanted: scopes, and how many days.
        audit: records each.
        deliver: hands them over; if it fails, none is made.
        settle: called when each is recorded; returns when that is safe.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with store.change(audit) as change:
        made = [_insert(change, scope, timedelta(days=days)) for scope, days in wanted]
        deliver(made)
        for one in made:
            change.record("key_created", key=one.id)
        settle()
    return made


def rotate(store: Store, key_id: str, *, overlap: timedelta, audit: Audit) -> NewKey:
    """Make a key of the same scope and lifetime; the old one ends after the overlap.

    Raises:
        InputError: there is no such key, or it is no longer valid or already rotated.
        StateUnavailable: the database cannot be used.
    """
    with store.change(audit) as change:
        old = _find(change, key_id)
        now = datetime.now(UTC)
        if not old.valid(now) or old.rotated_to is not None:
            raise InputError(
                f"key {key_id} is {_state(old, now)} - only a valid key can be rotated, and once"
            )
        made = _insert(change, old.scope, old.expires - old.created)
        ends = {"expires": min(old.expires, now + overlap), "rotated_to": made.id}
        _update(change, old, ends)
        change.record("key_rotated", key=old.id, rotated_to=made.id)
    return made


def revoke(store: Store, key_id: str, *, audit: Audit, pseudonym: str | None = None) -> None:
    """End a key now; one that was revoked before stays so.

    Args:
        store: holds it.
        key_id: which.
        audit: records it.
        pseudonym: what is recorded in the place of the id.

    Raises:
        InputError: there is no such key.
        StateUnavailable: the database cannot be used.
    """
    with store.change(audit) as change:
        key = _find(change, key_id)
        if key.revoked is None:
            _update(change, key, {"revoked": datetime.now(UTC)})
            told = {"key": key.id} if pseudonym is None else {"pseudonym": pseudonym}
            change.record("key_revoked", **told)


def reidentifier(
    config: StateConfig, home: Path
) -> Callable[[str], tuple[str, bool, frozenset[str]] | None]:
    """Finds a valid key and what `audit reidentify` must know of its holder.

    That is its id, whether it has the right and a holder, and the ids of all keys of that person.
    """

    def find(key: str) -> tuple[str, bool, frozenset[str]] | None:
        with closing(Store.open(config, home)) as store:
            keys = store.snapshot().keys
        stored = keys.get(digest_of(key))
        if stored is None or not stored.valid(datetime.now(UTC)):
            return None
        may = stored.reidentify and stored.holder is not None
        return stored.id, may, same_person(stored, keys.values())

    return find


def subjects_of(config: StateConfig, home: Path) -> Callable[[str], frozenset[str]]:
    """Finds the ids of all keys of the person who has one; a token's subject is its own."""

    def find(subject: str) -> frozenset[str]:
        with closing(Store.open(config, home)) as store:
            keys = store.snapshot().keys.values()
        found = next((key for key in keys if key.id == subject), None)
        return frozenset({subject}) if found is None else same_person(found, keys)

    return find


def same_person(key: Key, keys: Iterable[Key]) -> frozenset[str]:
    """The ids of all keys of one holder, and of what those were rotated from or to.

    Names are compared without regard to case; a person who is written in two ways is two.
    """
    found, left = [key], list(keys)
    for known in found:
        near = [one for one in left if _belong_together(known, one)]
        left = [one for one in left if one not in near]
        found += near
    return frozenset(one.id for one in found)


def _belong_together(one: Key, other: Key) -> bool:
    if one.holder is not None and other.holder is not None:
        return one.holder.casefold() == other.holder.casefold()
    return one.id in (other.id, other.rotated_to) or one.rotated_to == other.id


@contextmanager
def temporary(store: Store, scope: Scope, *, audit: Audit) -> Iterator[NewKey]:
    """A key for the length of a block.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    made = create(store, scope, days=1, audit=audit)
    try:
        yield made
    finally:
        revoke(store, made.id, audit=audit)


def _insert(change: Change, scope: Scope, lifetime: timedelta) -> NewKey:
    made = NewKey(secrets.token_hex(ID_BYTES), PREFIX + secrets.token_urlsafe(KEY_BYTES))
    now = datetime.now(UTC)
    row = {
        **scope.model_dump(),
        **_department(scope.department),
        "id": made.id,
        "sha256": digest_of(made.secret),
        "created": now,
        "expires": now + lifetime,
    }
    change.connection.execute(insert(schema.keys).values(row))
    return made


def _department(name: str) -> dict[str, str]:
    """A department as it is kept: also in the form that gateways before migration 0002 take."""
    if _PLAIN.fullmatch(name):
        return {"department": name}
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", letters).strip("-._") or "unassigned"
    return {"department": plain[:DEPARTMENT_CHARS], "department_name": name}


def _update(change: Change, key: Key, values: dict[str, Any]) -> None:
    change.connection.execute(update(schema.keys).where(schema.keys.c.id == key.id).values(values))


def _find(change: Change, key_id: str) -> Key:
    for key in change.state.keys.values():
        if key.id == key_id:
            return key
    raise InputError("no key has this id - `bedside inference keys list` shows them")


def show(made: NewKey) -> None:
    """Print a new key; nobody can show it again."""
    logger.info("key created, shown only this once", extra=log.fields(key=made.id))
    say(made.secret)


def listing(store: Store) -> str:
    """A table of all keys, without a key."""
    now = datetime.now(UTC)
    rows = [_row(key, now) for key in store.snapshot().keys.values()]
    return table([LISTED, *rows]) if rows else "no keys"


def _row(key: Key, now: datetime) -> list[str]:
    return [
        key.id,
        key.holder or "-",
        key.label or "-",
        key.department,
        key.priority,
        key.purpose,
        "all" if key.models is None else ",".join(key.models),
        _rate(key.requests_per_minute),
        _rate(key.tokens_per_minute),
        "yes" if key.reidentify else "no",
        _time(key.created),
        _time(key.expires),
        "never" if key.last_used is None else f"{key.last_used}",
        _state(key, now),
    ]


def _rate(value: int | None) -> str:
    return "-" if value is None else str(value)


def _time(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC"


def _state(key: Key, now: datetime) -> str:
    if key.revoked is not None:
        return "revoked"
    if now >= key.expires:
        return "expired"
    if key.rotated_to is not None:
        return f"rotated until {_time(key.expires)}"
    if key.expiring(now):
        return f"valid, ends in {(key.expires - now).days} days"
    return "valid"
