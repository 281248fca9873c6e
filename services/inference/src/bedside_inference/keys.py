"""API keys: 256 random bits, shown once, kept as a hash; each ends by itself."""

from __future__ import annotations

import logging
import secrets
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
from bedside_inference.state import schema
from bedside_inference.state.records import KEY_BYTES, PREFIX, Key, Scope, digest_of
from bedside_inference.state.store import Audit, Change, Store

logger = logging.getLogger(__name__)

ID_BYTES = 4


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
    with store.change(audit) as change:
        made = _insert(change, scope, timedelta(days=days))
        change.record("key_created", key=made.id)
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


def revoke(store: Store, key_id: str, *, audit: Audit) -> None:
    """End a key now; one that was revoked before stays so.

    Raises:
        InputError: there is no such key.
        StateUnavailable: the database cannot be used.
    """
    with store.change(audit) as change:
        key = _find(change, key_id)
        if key.revoked is None:
            _update(change, key, {"revoked": datetime.now(UTC)})
            change.record("key_revoked", key=key.id)


def reidentifier(
    config: StateConfig, home: Path
) -> Callable[[str], tuple[str, bool, frozenset[str]] | None]:
    """Finds a valid key and what `audit reidentify` must know of its holder.

    That is its id, whether it has the right, and the ids of it and of all that it was rotated from
    or to.
    """

    def find(key: str) -> tuple[str, bool, frozenset[str]] | None:
        with closing(Store.open(config, home)) as store:
            keys = store.snapshot().keys
        stored = keys.get(digest_of(key))
        if stored is None or not stored.valid(datetime.now(UTC)):
            return None
        return stored.id, stored.reidentify, _rotations(stored, keys.values())

    return find


def _rotations(key: Key, keys: Iterable[Key]) -> frozenset[str]:
    """The ids before and after it; a key is rotated once and comes of one."""
    after = {one.id: one.rotated_to for one in keys}
    before = {to: one for one, to in after.items() if to is not None}
    found = [key.id]
    for step in (after, before):
        one = step.get(key.id)
        while one is not None:
            found.append(one)
            one = step.get(one)
    return frozenset(found)


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
        "id": made.id,
        "sha256": digest_of(made.secret),
        "created": now,
        "expires": now + lifetime,
    }
    change.connection.execute(insert(schema.keys).values(row))
    return made


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
    rows = [
        [
            key.id,
            key.department,
            key.priority,
            key.purpose,
            "all" if key.models is None else ",".join(key.models),
            _rate(key.requests_per_minute),
            _rate(key.tokens_per_minute),
            "yes" if key.reidentify else "no",
            _time(key.created),
            _time(key.expires),
            _state(key, now),
        ]
        for key in store.snapshot().keys.values()
    ]
    head = "id department class purpose models requests/min tokens/min reidentify created expires"
    return table([[*head.split(), "state"], *rows]) if rows else "no keys"


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
    return "valid"
