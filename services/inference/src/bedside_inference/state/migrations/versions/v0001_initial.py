"""Keys, model aliases, stopped models and the revision.

Tested in tests/inference/state/test_migrate.py.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.String(8), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked", sa.DateTime(timezone=True)),
        sa.Column("rotated_to", sa.String(8), sa.ForeignKey("keys.id")),
        sa.Column("department", sa.String(64), nullable=False),
        sa.Column("priority", sa.String(16), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("models", sa.JSON(none_as_null=True)),
        sa.Column("requests_per_minute", sa.BigInteger),
        sa.Column("tokens_per_minute", sa.BigInteger),
        sa.Column("reidentify", sa.Boolean, nullable=False),
    )
    op.create_table(
        "models",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("primary", sa.String(64)),
        sa.Column("previous", sa.String(64)),
        sa.Column("canary", sa.String(64)),
        sa.Column("canary_share", sa.Float(53), nullable=False),
    )
    op.create_table(
        "stopped_models",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    )
    counter = op.create_table(
        "revision",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(counter, [{"id": 1, "number": 0}])
