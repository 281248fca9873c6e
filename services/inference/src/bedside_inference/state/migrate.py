"""Bring a state database to the schema of this version."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from bedside_core.errors import ArtifactError

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0002"
"""The newest of them."""
VERSIONS = "alembic_version"
"""The table in which Alembic keeps which were run."""


def migrate(connection: Connection) -> None:
    """Run the migrations that are missing; the caller holds the lock and commits.

    Raises:
        ArtifactError: a newer version of Bedside made this schema.
    """
    if _is_current(connection):
        return
    # Half a second of imports, which a kill switch would wait for each time.
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = set(MigrationContext.configure(connection).get_current_heads())
    if found - known:
        raise ArtifactError(
            "the state database has a schema that this version does not know - start the newer "
            "version of Bedside again, or restore the backup from before its first start"
        )
    command.upgrade(config, "head")


def _is_current(connection: Connection) -> bool:
    if not inspect(connection).has_table(VERSIONS):
        return False
    found = connection.execute(text(f"SELECT version_num FROM {VERSIONS}"))  # noqa: S608 - ours
    return found.scalars().all() == [HEAD]
