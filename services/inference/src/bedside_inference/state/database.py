"""Connections to the state database: SQLite below BEDSIDE_HOME, or PostgreSQL by URL.

Tested in tests/inference/state/test_store.py.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError

from bedside_core.files import disk_errors, locked
from bedside_inference.state.errors import DAMAGED, NO_RIGHT, StateUnavailable, database_errors
from bedside_inference.state.migrate import migrate

WAIT_SECONDS = 5
"""For a lock, a statement or a network that has gone silent."""
CONNECT_SECONDS = 3
MIGRATION_SECONDS = 60
IDLE_SECONDS = 60
"""A writer that fell silent in the middle of a change frees the others after this."""
REVISION = "SELECT number FROM revision"
MIGRATION_LOCK = int.from_bytes(b"bedside")
"""Key of PostgreSQL's advisory lock."""


class SqliteDatabase:
    """One file.

    With a rollback journal, not WAL: a copy of the file is a backup, and a file that was replaced
    below running gateways is not mixed with the log of the one before. Writers are rare and short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"the state database {path}"
        # It must exist: a file that went away is an outage, not an empty state.
        self._uri = f"{path.absolute().as_uri()}?mode=rw"
        self.engine = create_engine(
            URL.create("sqlite", database=str(path)),
            creator=self._connect,
            hide_parameters=True,
            pool_timeout=WAIT_SECONDS,
        )
        event.listen(self.engine, "checkout", self._require_same_file)
        event.listen(self.engine, "begin", _begin)
        self._writer = self.engine.execution_options(begin="BEGIN IMMEDIATE")
        self._asked: SqliteConnection | None = None
        """What `revision` asks."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent look."""
        with database_errors(self.name), self.engine.connect() as connection:
            try:
                yield connection
            except SQLAlchemyError:
                # SQLite keeps the schema of the file that it read, whatever stands there now.
                connection.invalidate()
                raise

    def revision(self) -> int:
        """Counts changes.

        Gateways ask several times a second, so past SQLAlchemy, which costs a multiple of the look.
        """
        with database_errors(self.name):
            if self._asked is None or self._asked.file != self._file():
                self._forget()
                self._asked = self._connect()
            try:
                found = self._asked.execute(REVISION).fetchone()
            except sqlite3.Error:
                self._forget()
                raise
        if found is None:
            raise StateUnavailable(f"{self.name} {DAMAGED}")
        return int(found[0])

    def close(self) -> None:
        """Drop all connections."""
        self._forget()
        self.engine.dispose()

    def _forget(self) -> None:
        if self._asked is not None:
            self._asked.close()
            self._asked = None

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writer interrupts; the caller commits."""
        with database_errors(self.name), self._writer.connect() as connection:
            yield connection

    def migrate(self) -> None:
        """Make the file if there never was one, and bring it to the schema of this version.

        Raises:
            StateUnavailable: it cannot be used, is damaged, or is gone.
            ArtifactError: it cannot be written, or is newer than this version.
        """
        with disk_errors(self.path.name), self._alone():
            with database_errors(self.name):
                self._check()
            with self.writing() as connection:
                migrate(connection)
                connection.commit()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The file, empty if it is new, while nobody else prepares it.

        The lock's file remembers that there was one: an empty state in the place of one that went
        away would know no stopped model.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            remembers = self.path.with_suffix(".lock")
            with locked(remembers) as lock:
                known = os.fstat(lock).st_size > 0
                if known and not (self.path.exists() and self.path.stat().st_size):
                    raise StateUnavailable(
                        f"{self.name} is gone - put it back from the backup; to begin without any "
                        f"key, switch or stopped model, remove {remembers}"
                    )
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, mode=0o600))
                yield
                if not known:
                    os.write(lock, b"made\n")
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            raise StateUnavailable(f"{self.name} {NO_RIGHT}") from None

    def _check(self) -> None:
        """Look at every page of the file."""
        with closing(self._connect()) as connection:
            if connection.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
                raise StateUnavailable(f"{self.name} {DAMAGED}")

    def _connect(self) -> SqliteConnection:
        file = self._file()
        connection = sqlite3.connect(
            self._uri,
            uri=True,
            timeout=WAIT_SECONDS,
            # Transactions begin where `_begin` says, not where the driver thinks best.
            isolation_level=None,
            check_same_thread=False,
            factory=SqliteConnection,
        )
        connection.file = file
        connection.execute("PRAGMA foreign_keys = ON")
        # A revocation must outlive a power failure.
        connection.execute("PRAGMA synchronous = EXTRA")
        return connection

    def _file(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _require_same_file(
        self, connection: SqliteConnection, record: object, proxy: object
    ) -> None:
        """Never go on with a file that was moved away: what is revoked now stands in another."""
        if connection.file != self._file():
            raise DisconnectionError


class SqliteConnection(sqlite3.Connection):
    """A connection that remembers which file had the path just before it was opened."""

    file: tuple[int, int] | None = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


class PostgresDatabase:
    """A database of a PostgreSQL server; several gateways may share it."""

    def __init__(self, url: str) -> None:
        """Nothing connects yet; `inference.state.url` has been checked."""
        parsed = make_url(url)
        self.name = f"the state database {parsed.database!r} on PostgreSQL"
        self.engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            hide_parameters=True,
            pool_pre_ping=True,
            pool_timeout=WAIT_SECONDS,
            connect_args={
                "application_name": "bedside",
                "connect_timeout": CONNECT_SECONDS,
                "tcp_user_timeout": WAIT_SECONDS * 1000,
                "keepalives_idle": WAIT_SECONDS,
                "keepalives_interval": WAIT_SECONDS,
                "keepalives_count": 3,
                # A pooler before the server may give each transaction another connection.
                "prepare_threshold": None,
            },
        )
        event.listen(self.engine, "connect", _limit)
        self._reader = self.engine.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent look."""
        with database_errors(self.name), self._reader.connect() as connection:
            yield connection

    def revision(self) -> int:
        """Counts changes."""
        with self.reading() as connection:
            return int(connection.exec_driver_sql(REVISION).scalar_one())

    def close(self) -> None:
        """Drop all connections."""
        self.engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction, which the caller commits; writers wait for each other at `revision`."""
        with database_errors(self.name), self.engine.connect() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring it to the schema of this version.

        Raises:
            StateUnavailable: it cannot be used.
            ArtifactError: it is newer than this version.
        """
        with self.writing() as connection:
            for limit in ("statement_timeout", "lock_timeout"):
                connection.execute(text(f"SET LOCAL {limit} = '{MIGRATION_SECONDS}s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            migrate(connection)
            connection.commit()


Database = SqliteDatabase | PostgresDatabase


def _limit(connection: Any, record: object) -> None:
    connection.execute(f"SET statement_timeout = '{WAIT_SECONDS}s'")
    connection.execute(f"SET lock_timeout = '{WAIT_SECONDS}s'")
    connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
    connection.commit()
