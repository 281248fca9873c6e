"""The tables; `migrations` makes them, and a test holds the two together.

Tested in tests/inference/state/test_migrate.py.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
)
from sqlalchemy.types import TypeDecorator

from bedside_inference.names import DEPARTMENT_CHARS, HOLDER_CHARS, LABEL_CHARS


class Moment(TypeDecorator[datetime]):
    """A time in UTC; SQLite forgets time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


metadata = MetaData()

keys = Table(
    "keys",
    metadata,
    Column("id", String(8), primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("created", Moment, nullable=False),
    Column("expires", Moment, nullable=False),
    Column("revoked", Moment),
    Column("rotated_to", String(8), ForeignKey("keys.id")),
    Column("department", String(64), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("models", JSON(none_as_null=True)),
    Column("requests_per_minute", BigInteger),
    Column("tokens_per_minute", BigInteger),
    Column("reidentify", Boolean, nullable=False),
    Column("holder", String(HOLDER_CHARS)),
    Column("label", String(LABEL_CHARS)),
    Column("department_name", String(DEPARTMENT_CHARS)),
)
"""`department_name` is the department, if `department` cannot hold it (migration 0002 says why)."""

key_uses = Table(
    "key_uses",
    metadata,
    Column("key_id", String(8), ForeignKey("keys.id"), primary_key=True),
    Column("day", Date, nullable=False),
)
"""Apart from `keys`, and no change that counts up `revision`: no gateway looks for it."""

models = Table(
    "models",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("primary", String(64)),
    Column("previous", String(64)),
    Column("canary", String(64)),
    Column("canary_share", Float(53), nullable=False),
)

stopped_models = Table(
    "stopped_models",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("since", Moment, nullable=False),
)

locked_out = Table(
    "locked_out",
    metadata,
    Column("subject_sha256", String(64), primary_key=True),
    Column("since", Moment, nullable=False),
)
"""People of the identity provider, by the SHA-256 of the token's `iss|sub`."""

revision = Table(
    "revision",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""One row, counted up by every change in the change's own transaction: what a gateway polls."""
