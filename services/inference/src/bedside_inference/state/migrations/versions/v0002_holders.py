"""Holders, labels and free department names of keys, the day of their last use, who is locked out.

Gateways of the version before go on beside this one: they read the columns that they know, so
`department` keeps the form that they take and a name of another form stands in `department_name`.

Tested in tests/inference/state/test_migrate.py.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("keys", sa.Column("holder", sa.String(128)))
    op.add_column("keys", sa.Column("label", sa.String(64)))
    op.add_column("keys", sa.Column("department_name", sa.String(64)))
    op.create_table(
        "key_uses",
        sa.Column("key_id", sa.String(8), sa.ForeignKey("keys.id"), primary_key=True),
        sa.Column("day", sa.Date, nullable=False),
    )
    op.create_table(
        "locked_out",
        sa.Column("subject_sha256", sa.String(64), primary_key=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    )
