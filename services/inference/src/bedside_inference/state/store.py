"""The state database: what it holds now, and changes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError
from sqlalchemy import Connection, Date, RowMapping, bindparam, select, text, update

from bedside_inference.config import StateConfig
from bedside_inference.state import schema
from bedside_inference.state.database import Database, PostgresDatabase, SqliteDatabase
from bedside_inference.state.errors import DAMAGED, StateUnavailable
from bedside_inference.state.records import Alias, Key, State

FILE = "state.sqlite3"
NOTE_USE = text(
    "INSERT INTO key_uses (key_id, day) SELECT id, :day FROM keys WHERE id = :key "
    "ON CONFLICT (key_id) DO UPDATE SET day = excluded.day WHERE key_uses.day < excluded.day"
).bindparams(bindparam("day", type_=Date))


class Audit(Protocol):
    """Writes one audit entry and returns when it is safe."""

    def __call__(self, action: str, /, **ids: str | int) -> None: ...


class Change:
    """A transaction that holds the only right to write."""

    def __init__(self, connection: Connection, state: State, audit: Audit) -> None:
        self.connection = connection
        self.state = state
        """As it was before, but for the revision, which is the new one."""
        self.recorded = False
        self._audit = audit

    def record(self, action: str, **ids: str | int) -> None:
        """Write the audit entry, last of all; only what has one is committed.

        The entry comes first: no change can be without one. Its `revision` is the one that the
        change makes, so if the commit fails after all, the next change has the same number.
        """
        self._audit(action, revision=self.state.revision, **ids)
        self.recorded = True


class Store:
    """The state database of a house."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, config: StateConfig, home: Path) -> Store:
        """Find it and make it ready.

        Raises:
            StateUnavailable: the database cannot be used.
            ArtifactError: its schema is newer than this version, or the disk is full.
        """
        store = cls.of(config, home)
        try:
            store.migrate()
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def of(cls, config: StateConfig, home: Path) -> Store:
        """Find it; nothing is opened yet."""
        if config.url is None:
            return cls(SqliteDatabase(home / "gateway" / FILE))
        return cls(PostgresDatabase(config.url))

    def migrate(self) -> None:
        """Connect, and bring the schema to this version; several processes may do so at once.

        Raises:
            StateUnavailable: the database cannot be used.
            ArtifactError: its schema is newer than this version, or the disk is full.
        """
        self._database.migrate()

    def close(self) -> None:
        self._database.close()

    def revision(self) -> int:
        """Counts changes; cheap.

        Raises:
            StateUnavailable: the database cannot be used.
        """
        return self._database.revision()

    def snapshot(self) -> State:
        """Everything, at one revision.

        Raises:
            StateUnavailable: the database cannot be used, or holds what makes no sense.
        """
        with self._database.reading() as connection:
            return self._read(connection)

    @contextmanager
    def change(self, audit: Audit) -> Iterator[Change]:
        """A change; it is committed at the end of the block, if it was recorded.

        Raises:
            StateUnavailable: the database cannot be used; nothing was changed.
        """
        with self._database.writing() as connection:
            # First of all, because it is here that writers wait for each other.
            counted = update(schema.revision).values(number=schema.revision.c.number + 1)
            connection.execute(counted)
            change = Change(connection, self._read(connection), audit)
            yield change
            if change.recorded:
                connection.commit()

    def note_uses(self, keys: Iterable[str], day: date) -> None:
        """Note that keys were used on a day; no change that a gateway looks for.

        Raises:
            StateUnavailable: the database cannot be used.
        """
        # In one order, so that two gateways never wait for each other.
        rows = [{"key": key, "day": day} for key in sorted(keys)]
        with self._database.writing() as connection:
            connection.execute(NOTE_USE, rows)
            connection.commit()

    def _read(self, connection: Connection) -> State:
        found = select(schema.keys, schema.key_uses.c.day.label("last_used"))
        found = found.outerjoin(schema.key_uses).order_by("created", "id")
        rows = connection.execute(found).mappings()
        aliases = connection.execute(select(schema.models)).mappings()
        stopped = connection.execute(select(schema.stopped_models.c.digest)).scalars()
        out = connection.execute(select(schema.locked_out.c.subject_sha256)).scalars()
        try:
            return State(
                revision=connection.execute(select(schema.revision.c.number)).scalar_one(),
                keys={row["sha256"]: _key(row) for row in rows},
                aliases={row["name"]: Alias.model_validate(dict(row)) for row in aliases},
                stopped=frozenset(stopped),
                locked_out=frozenset(out),
            )
        except ValidationError:
            raise StateUnavailable(f"{self._database.name} {DAMAGED}") from None


def _key(row: RowMapping) -> Key:
    values = dict(row)
    name = values.pop("department_name")
    return Key.model_validate(values if name is None else {**values, "department": name})
