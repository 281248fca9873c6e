"""What Alembic runs: the migrations, in the transaction that `state.migrate` opened.

Tested in tests/inference/state/test_migrate.py.
"""

from __future__ import annotations

from alembic import context

from bedside_inference.state.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite too rolls schema changes back, if the driver does not end the transaction by itself.
    transactional_ddl=True,
)
context.run_migrations()
