"""Migrations make what `schema` says, on both databases, and refuse what they do not know."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import date

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from bedside_core.errors import ArtifactError
from bedside_inference import keys
from bedside_inference.state import migrate
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


OLD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a gateway of version 0.2 takes as a department; with another it calls the state damaged."""
OLD_LOOK = (
    "SELECT id, sha256, created, expires, revoked, rotated_to, department, priority, purpose, "
    "models, requests_per_minute, tokens_per_minute, reidentify FROM keys ORDER BY created, id"
)


@pytest.fixture
def before(state_config, tmp_path, monkeypatch):
    """A database of version 0.2 with a key in it."""
    opened = Store.of(state_config, tmp_path)
    monkeypatch.setattr(migrate, "HEAD", "0001")
    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0001"))
    opened.migrate()
    monkeypatch.undo()
    with opened._database.writing() as connection:
        connection.execute(
            text(
                "INSERT INTO keys (id, sha256, created, expires, department, priority, purpose, "
                "reidentify) VALUES ('0a1b2c3d', :sha256, :now, :then, 'icu', 'ward', 'TREAT', "
                ":may)"
            ),
            {
                "sha256": "ab" * 32, "now": "2026-01-01 00:00:00+00:00",
                "then": "2099-01-01 00:00:00+00:00", "may": True,
            },
        )  # fmt: skip
        connection.commit()
    yield opened
    opened.close()


def test_what_version_0_2_kept_is_there_after_the_migration(before, audit) -> None:
    before.migrate()
    [key] = before.snapshot().keys.values()
    assert (key.id, key.department, key.holder, key.label) == ("0a1b2c3d", "icu", None, None)
    assert (key.reidentify, key.last_used) == (True, None)


@pytest.mark.parametrize("name", ["Innere Medizin", "Gynäkologie", "心臓内科", "-", "ä" * 64])
def test_a_gateway_of_version_0_2_goes_on_beside_this_one(before, audit, name) -> None:
    """It looks again at each change, during a rolling update until it ends itself."""
    before.migrate()
    made = keys.create(before, Scope(department=name, holder="Jana Weiß"), days=1, audit=audit)
    before.note_uses([made.id], date(2026, 11, 30))
    with before._database.reading() as connection:
        rows = connection.execute(text(OLD_LOOK)).mappings().all()
    assert [row["id"] for row in rows] == ["0a1b2c3d", made.id]
    assert all(OLD_NAME.fullmatch(row["department"]) for row in rows)
    # What it makes itself this version reads.
    with before.change(audit) as change:
        change.connection.execute(text("UPDATE keys SET department = 'ed' WHERE id = '0a1b2c3d'"))
        change.record("test")
    old, new = before.snapshot().keys.values()
    assert (old.department, new.department) == ("ed", name)
