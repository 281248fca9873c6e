"""Bring a state database to the schema of this version."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from bedside_core.errors import ArtifactError

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(connection: Connection) -> None:
    """Run the migrations that are missing; the caller holds the lock and commits.

    Raises:
        ArtifactError: a newer version of Bedside made this schema.
    """
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
