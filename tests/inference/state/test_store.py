"""Changes are whole, audited and seen by all; what cannot be read lets nobody in."""

from __future__ import annotations

import logging
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import insert, text

from bedside_core.errors import InputError
from bedside_inference import keys
from bedside_inference.config import StateConfig
from bedside_inference.state import schema
from bedside_inference.state.errors import StateUnavailable
from bedside_inference.state.records import Scope
from bedside_inference.state.store import Store


def create(store: Store, audit, **scope: object) -> keys.NewKey:
    return keys.create(store, Scope(**scope), days=30, audit=audit)


def find(store: Store, secret: str, after: timedelta = timedelta()) -> object:
    return store.snapshot().find(secret, datetime.now(UTC) + after)


def test_an_empty_state(store) -> None:
    state = store.snapshot()
    assert (state.revision, dict(state.keys), dict(state.aliases)) == (0, {}, {})
    assert state.stopped == frozenset()


def test_a_key_comes_back_as_it_was_made(store, audit) -> None:
    scope = Scope(
        department="icu",
        priority="emergency",
        purpose="ETREAT",
        models=("bedside", "other"),
        requests_per_minute=60,
        tokens_per_minute=10**9,
        reidentify=True,
    )
    before = datetime.now(UTC)
    made = keys.create(store, scope, days=30, audit=audit)
    [key] = store.snapshot().keys.values()
    assert key.scope == scope
    assert key.id == made.id
    assert before <= key.created <= datetime.now(UTC)
    assert key.expires - key.created == timedelta(days=30)
    assert (key.revoked, key.rotated_to) == (None, None)
    assert find(store, made.secret, timedelta(days=29))
    assert find(store, made.secret, timedelta(days=30)) is None
    assert audit.entries == [("key_created", {"key": made.id, "revision": 1})]


def test_rotation_overlaps(store, audit) -> None:
    old = create(store, audit, department="icu")
    new = keys.rotate(store, old.id, overlap=timedelta(hours=24), audit=audit)
    assert audit.entries[1:] == [
        ("key_rotated", {"key": old.id, "rotated_to": new.id, "revision": 2})
    ]
    first, second = store.snapshot().keys.values()
    assert first.rotated_to == second.id
    assert first.scope == second.scope
    assert second.expires - second.created == timedelta(days=30)
    for hours, expected in ((0, True), (23, True), (24, False)):
        assert (find(store, old.secret, timedelta(hours=hours)) is not None) is expected
        assert find(store, new.secret, timedelta(hours=hours))
    with pytest.raises(InputError, match="rotated until"):
        keys.rotate(store, old.id, overlap=timedelta(), audit=audit)


def test_rotation_never_prolongs_the_old_key(store, audit) -> None:
    old = keys.create(store, Scope(), days=1, audit=audit)
    [before] = store.snapshot().keys.values()
    keys.rotate(store, old.id, overlap=timedelta(days=30), audit=audit)
    assert store.snapshot().keys[before.sha256].expires == before.expires


def test_rotation_without_overlap(store, audit) -> None:
    old = create(store, audit)
    new = keys.rotate(store, old.id, overlap=timedelta(), audit=audit)
    assert find(store, old.secret) is None
    assert find(store, new.secret)


def test_revocation(store, audit, state_config, tmp_path) -> None:
    made, other = create(store, audit), create(store, audit)
    with closing(Store.open(state_config, tmp_path)) as elsewhere:
        keys.revoke(elsewhere, made.id, audit=audit)
    assert find(store, made.secret) is None
    assert find(store, other.secret)
    with pytest.raises(InputError, match="is revoked"):
        keys.rotate(store, made.id, overlap=timedelta(), audit=audit)
    revision = store.revision()
    entries = len(audit.entries)
    keys.revoke(store, made.id, audit=audit)
    assert (store.revision(), len(audit.entries)) == (revision, entries)


@pytest.mark.parametrize("wrong", ["", "00000000", "x" * 1000, "'; DROP TABLE keys; --"])
def test_unknown_ids_change_nothing(store, audit, wrong) -> None:
    create(store, audit)
    before = store.snapshot()
    for act in (
        lambda: keys.revoke(store, wrong, audit=audit),
        lambda: keys.rotate(store, wrong, overlap=timedelta(), audit=audit),
    ):
        with pytest.raises(InputError, match="no key has this id") as error:
            act()
        assert "DROP" not in str(error.value)
    assert store.snapshot() == before


def test_no_change_without_an_audit_entry(store, audit) -> None:
    made = create(store, audit)
    before = store.snapshot()
    audit.full = True
    for act in (
        lambda: create(store, audit),
        lambda: keys.rotate(store, made.id, overlap=timedelta(), audit=audit),
        lambda: keys.revoke(store, made.id, audit=audit),
    ):
        with pytest.raises(OSError, match="No space left"):
            act()
        assert store.snapshot() == before
        assert store.revision() == before.revision


def test_a_change_that_records_nothing_is_none(store, audit) -> None:
    with store.change(audit) as change:
        change.connection.execute(
            insert(schema.stopped_models).values(digest="ab" * 32, since=datetime.now(UTC))
        )
    assert store.snapshot().stopped == frozenset()
    assert store.revision() == 0


def test_the_entry_is_written_while_nobody_sees_the_change(
    store, audit, state_config, tmp_path
) -> None:
    seen = []

    def look(action: str, /, **ids: str | int) -> None:
        with closing(Store.open(state_config, tmp_path) if state_config.url else store) as other:
            seen.append((ids["revision"], other.revision()))

    create(store, look)
    assert seen == [(1, 0)]
    assert store.revision() == 1


def test_two_processes_at_once(store, state_config, tmp_path, audit, fork) -> None:
    def work(said: Connection) -> None:
        with closing(Store.open(state_config, tmp_path)) as own:
            for _ in range(40):
                said.send(create(own, audit).id)

    workers = [fork(work) for _ in range(2)]
    made = [key_id for worker in workers for key_id in worker.all_said()]
    assert [worker.process.exitcode for worker in workers] == [0, 0]
    state = store.snapshot()
    assert sorted(key.id for key in state.keys.values()) == sorted(made)
    assert state.revision == len(made) == 80


def test_many_threads_on_one_store(store, audit) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: create(store, audit), range(32)))
    assert all(find(store, key.secret) for key in made)
    assert store.revision() == 32
    assert sorted(ids["revision"] for _, ids in audit.entries) == list(range(1, 33))


def test_workers_that_start_at_once_on_an_empty_database(state_config, tmp_path, fork) -> None:
    def work(said: Connection) -> None:
        with closing(Store.open(state_config, tmp_path)) as own:
            said.send(own.revision())

    workers = [fork(work) for _ in range(6)]
    assert [worker.all_said() for worker in workers] == [[0]] * 6


def test_kill_during_writes(state_config, tmp_path, audit, fork) -> None:
    """What a killed writer reported is there; what is there is whole."""

    def work(said: Connection) -> None:
        own = Store.open(state_config, tmp_path)
        while True:
            said.send(create(own, audit).id)

    reported: list[str] = []
    for _ in range(5):
        writer = fork(work)
        reported.append(writer.said.recv())
        time.sleep(random.uniform(0, 0.05))
        writer.process.kill()
        reported += writer.all_said()
    with closing(Store.open(state_config, tmp_path)) as store:
        state = store.snapshot()
        assert set(reported) <= {key.id for key in state.keys.values()}
        assert len(state.keys) == state.revision
        create(store, audit)
        assert store.revision() == state.revision + 1


def test_a_dump_contains_no_key(store, audit, state_config, tmp_path, postgres) -> None:
    made = create(store, audit)
    new = keys.rotate(store, made.id, overlap=timedelta(), audit=audit)
    if state_config.url:
        dump = subprocess.run(
            [postgres.programs / "pg_dump", state_config.url], capture_output=True, check=True
        ).stdout
    else:
        files = sorted((tmp_path / "gateway").iterdir())
        dump = b"".join(path.read_bytes() for path in files)
    assert made.id.encode() in dump
    for key in (made, new):
        assert key.secret.encode() not in dump
        assert key.secret.removeprefix("bsk-").encode() not in dump
        assert key.secret not in repr(key)


def test_nothing_is_logged_of_keys(store, audit, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    made = create(store, audit)
    find(store, made.secret)
    assert made.secret not in caplog.text


def test_rows_that_make_no_sense_let_nobody_in(store, audit) -> None:
    create(store, audit)
    with store.change(audit) as change:
        change.connection.execute(text("UPDATE keys SET purpose = 'CURIOSITY'"))
        change.record("test")
    with pytest.raises(StateUnavailable, match="is damaged"):
        store.snapshot()
    with pytest.raises(StateUnavailable, match="is damaged"):
        create(store, audit)


def test_a_lost_row_is_an_outage(store, audit) -> None:
    with store.change(audit) as change:
        change.connection.execute(text("DELETE FROM revision"))
        change.record("test")
    for act in (store.revision, store.snapshot, lambda: create(store, audit)):
        with pytest.raises(StateUnavailable):
            act()


# --- SQLite --------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway" / "state.sqlite3"


def open_sqlite(tmp_path: Path) -> Store:
    return Store.open(StateConfig(), tmp_path)


def test_rights_of_the_file(tmp_path, path, audit) -> None:
    with closing(open_sqlite(tmp_path)) as store:
        create(store, audit)
        for file in path.parent.glob("state.sqlite3*"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_pragmas(tmp_path, audit) -> None:
    with closing(open_sqlite(tmp_path)) as store, store.change(audit) as change:
        values = {
            name: change.connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert values == {
        "journal_mode": "delete",
        "foreign_keys": 1,
        "synchronous": 3,
        "busy_timeout": 5000,
    }


@pytest.mark.parametrize(
    "content", [b'{"keys": []}\n', b"\xff" * 5000, b"SQLite format 3\0" + b"x" * 9000]
)
def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path, path, content) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StateUnavailable, match=r"state\.sqlite3 is damaged - .*backup"):
        open_sqlite(tmp_path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_file_that_went_away_is_no_empty_state(tmp_path, path, audit, lose) -> None:
    """It would know no stopped model, and a running gateway would believe it."""
    with closing(open_sqlite(tmp_path)) as store:
        create(store, audit)
    kept = path.read_bytes()
    lose(path)
    for _ in range(2):
        with pytest.raises(StateUnavailable, match="is gone - put it back from the backup"):
            open_sqlite(tmp_path)
    assert not path.exists() or not path.read_bytes()
    path.write_bytes(kept)
    with closing(open_sqlite(tmp_path)) as store:
        assert len(store.snapshot().keys) == 1
    path.unlink()
    path.with_suffix(".lock").unlink()  # as the message says
    with closing(open_sqlite(tmp_path)) as store:
        assert not store.snapshot().keys


def test_a_first_start_that_did_not_get_far_is_repeated(tmp_path, path, monkeypatch) -> None:
    def cut(connection: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("bedside_inference.state.database.migrate", cut)
        open_sqlite(tmp_path)
    assert path.read_bytes() == b""
    with closing(open_sqlite(tmp_path)) as store:
        assert store.revision() == 0


def test_a_damaged_page_is_found_at_the_start(tmp_path, path, audit) -> None:
    with closing(open_sqlite(tmp_path)) as store:
        for _ in range(50):
            create(store, audit)
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        # All pages but the first two: the header and the list of tables are left whole.
        for offset in range(2 * 4096, size, 4096):
            file.seek(offset)
            file.write(random.randbytes(512))
    with pytest.raises(StateUnavailable, match="is damaged"):
        open_sqlite(tmp_path)


def test_a_lock_that_is_never_freed(tmp_path, path, audit, monkeypatch) -> None:
    monkeypatch.setattr("bedside_inference.state.database.WAIT_SECONDS", 0.1)
    with closing(open_sqlite(tmp_path)) as store, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateUnavailable, match="in use by another process - try again"):
            create(store, audit)
        assert store.revision() == 0
        assert audit.entries == []


def test_a_file_that_was_moved_away_is_no_longer_believed(tmp_path, path, audit) -> None:
    """Or a revocation after a restored backup would never be seen."""
    with closing(open_sqlite(tmp_path)) as store:
        made = create(store, audit)
        assert find(store, made.secret)
        path.rename(path.with_suffix(".old"))
        for act in (store.revision, store.snapshot):
            with pytest.raises(StateUnavailable, match="cannot be opened"):
                act()
        assert not path.exists()
        path.with_suffix(".lock").unlink()
        with closing(open_sqlite(tmp_path)) as new:
            create(new, audit)
        assert find(store, made.secret) is None
        assert store.revision() == 1


def test_a_copy_of_the_file_is_a_backup(tmp_path, path, audit) -> None:
    with closing(open_sqlite(tmp_path)) as store:
        made = create(store, audit)
        with store.change(audit):
            (tmp_path / "other" / "gateway").mkdir(parents=True)
            shutil.copy(path, tmp_path / "other" / "gateway")
    with closing(open_sqlite(tmp_path / "other")) as restored:
        assert find(restored, made.secret)


def test_a_directory_in_its_place(tmp_path, path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StateUnavailable, match=r"state\.sqlite3 cannot be opened"):
        open_sqlite(tmp_path)


def test_a_file_in_place_of_the_directory(tmp_path) -> None:
    (tmp_path / "gateway").touch()
    with pytest.raises(StateUnavailable, match="cannot be opened"):
        open_sqlite(tmp_path)


# --- PostgreSQL ----------------------------------------------------------------------------------


def test_a_password_in_a_file(postgres, tmp_path, monkeypatch) -> None:
    postgres.create_database()
    name = f"test{postgres.databases}"
    file = tmp_path / "pgpass"
    monkeypatch.setenv("PGPASSFILE", str(file))
    config = StateConfig(url=postgres.loopback_url(name))
    for content in ("", "*:*:*:*:geheim"):
        file.write_text(content)
        file.chmod(0o600)
        with pytest.raises(StateUnavailable, match="cannot be used") as error:
            Store.open(config, tmp_path)
        for told in ("geheim", "127.0.0.1", "bedside@"):
            assert told not in str(error.value)
    password = (postgres.directory / "password").read_text()
    file.write_text(f"*:*:*:*:{password}")
    file.chmod(0o600)
    with closing(Store.open(config, tmp_path)) as store:
        assert store.revision() == 0


@pytest.mark.timeout(60)
def test_nobody_listens(tmp_path) -> None:
    with pytest.raises(StateUnavailable, match="see that it runs"):
        Store.open(StateConfig(url="postgresql://bedside@127.0.0.1:1/bedside"), tmp_path)


def test_a_role_without_rights(postgres, tmp_path) -> None:
    url = postgres.create_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
    with pytest.raises(StateUnavailable, match="SQLSTATE 42501"):
        Store.open(StateConfig(url=url.replace("bedside@", "guest@")), tmp_path)


def test_a_writer_that_never_ends(postgres, tmp_path, audit, monkeypatch) -> None:
    monkeypatch.setattr("bedside_inference.state.database.WAIT_SECONDS", 1)
    url = postgres.create_database()
    with closing(Store.open(StateConfig(url=url), tmp_path)) as store:
        with psycopg.connect(url) as other:
            other.execute("UPDATE revision SET number = number + 1")
            with pytest.raises(StateUnavailable, match=r"SQLSTATE (55P03|57014)"):
                create(store, audit)
            assert store.revision() == 0
            other.rollback()
        create(store, audit)
        assert store.revision() == 1
