"""What can go wrong with the state database, without the words of its driver.

A driver may quote the address, the login or a value; here only its error code is passed on.

Tested in tests/inference/state/test_store.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from bedside_core.errors import ArtifactError

DAMAGED = "is damaged - stop the gateway and restore it from a backup"
LOCKED = "is in use by another process - try again"
NO_SPACE = "cannot be written, the disk is full or broken - free some space"
NO_RIGHT = "cannot be opened - see that it exists and that this user may write it and its directory"

# https://sqlite.org/rescode.html
SQLITE_REASONS = {
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_FULL: NO_SPACE,
    sqlite3.SQLITE_IOERR: NO_SPACE,
    sqlite3.SQLITE_CANTOPEN: NO_RIGHT,
    sqlite3.SQLITE_PERM: NO_RIGHT,
    sqlite3.SQLITE_READONLY: NO_RIGHT,
}


class StateUnavailable(ArtifactError):  # noqa: N818 - a condition that passes
    """The state database cannot be used now: nobody is let in on what it might say."""


@contextmanager
def database_errors(name: str) -> Iterator[None]:
    """Turn a driver's error into one that may be shown.

    Raises:
        StateUnavailable: says which database, and what can be done.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise StateUnavailable(f"{name} {_reason(cause)}") from None


def _reason(cause: BaseException | None) -> str:
    if isinstance(cause, sqlite3.Error):
        # The low byte is the primary code; the driver's own errors have none.
        known = SQLITE_REASONS.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF)
        if known:
            return known
    if isinstance(cause, psycopg.Error):
        code = f"SQLSTATE {cause.sqlstate}" if cause.sqlstate else type(cause).__name__
        return (
            f"cannot be used ({code}) - see that it runs, that it can be reached and that "
            "inference.state.url names a role that may use it; its own log says more"
        )
    return f"cannot be used ({type(cause).__name__}) - {DAMAGED.partition(' - ')[2]}"
