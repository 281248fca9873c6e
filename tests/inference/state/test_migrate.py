"""Migrations make what `schema` says, on both databases, and refuse what they do not know."""

from __future__ import annotations

from contextlib import closing

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from bedside_core.errors import ArtifactError
from bedside_inference import keys
from bedside_inference.state.migrate import HEAD, MIGRATIONS
from bedside_inference.state.records import Scope
from bedside_inference.state.schema import metadata
from bedside_inference.state.store import Store


def test_the_tables_are_those_of_the_schema(store, audit) -> None:
    with store.change(audit) as change:
        context = MigrationContext.configure(
            change.connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
        tables = set(inspect(change.connection).get_table_names())
    assert tables == {*metadata.tables, "alembic_version"}


def test_a_second_start_changes_nothing(store, audit, state_config, tmp_path) -> None:
    keys.create(store, Scope(), days=1, audit=audit)
    before = store.snapshot()
    with closing(Store.open(state_config, tmp_path)) as again:
        assert again.snapshot() == before


def test_the_newest_migration_is_named() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD


def test_a_database_that_is_current_needs_no_alembic(store, state_config, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "upgrade", lambda *_: pytest.fail("nothing is to be done"))
    Store.open(state_config, tmp_path).close()


def test_a_database_from_before_the_first_migration(store, audit, state_config, tmp_path) -> None:
    """The only older schema there is: one without any table."""
    with store.change(audit) as change:
        metadata.drop_all(change.connection)
        change.connection.execute(text("DELETE FROM alembic_version"))
        change.record("test")
    with closing(Store.open(state_config, tmp_path)) as again:
        assert again.revision() == 0


def test_a_migration_that_fails_leaves_nothing(store, audit, state_config, tmp_path) -> None:
    with store.change(audit) as change:
        metadata.drop_all(change.connection)
        change.connection.execute(text("DELETE FROM alembic_version"))
        # The last table that the migration makes is in its way.
        change.connection.execute(text("CREATE TABLE revision (something INTEGER)"))
        change.record("test")
    with pytest.raises(ArtifactError, match="cannot be used"):
        Store.open(state_config, tmp_path)
    with store._database.reading() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version", "revision"}


def test_a_newer_database_is_refused(store, audit, state_config, tmp_path) -> None:
    with store.change(audit) as change:
        change.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        change.record("test")
    before = store.snapshot()
    with pytest.raises(ArtifactError, match="schema that this version does not know"):
        Store.open(state_config, tmp_path)
    assert store.snapshot() == before
