"""People whom the house's identity provider lets in, and whom this house locks out.

The provider is told too, but a token that it gave is good until it ends; this is within a second.

Tested in tests/inference/gateway/access/test_oidc.py.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import delete, insert

from bedside_core.errors import InputError
from bedside_inference.state import schema
from bedside_inference.state.records import digest_of
from bedside_inference.state.store import Audit, Store


def lock_out(store: Store, subject: str, *, audit: Audit, pseudonym: str) -> int:
    """Let a person in no more, and end what is being answered; who is out already stays so.

    Args:
        store: holds it, as a SHA-256.
        subject: the token's `iss|sub`.
        audit: records it.
        pseudonym: what is recorded.

    Returns:
        How many people are locked out now.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with store.change(audit) as change:
        out = change.state.locked_out
        if (digest := digest_of(subject)) in out:
            return len(out)
        row = {"subject_sha256": digest, "since": datetime.now(UTC)}
        change.connection.execute(insert(schema.locked_out).values(row))
        change.record("person_locked_out", pseudonym=pseudonym)
    return len(out) + 1


def readmit(store: Store, subject: str, *, audit: Audit, pseudonym: str) -> int:
    """Let a person in again.

    Raises:
        InputError: this person is not locked out.
        StateUnavailable: the database cannot be used.
    """
    with store.change(audit) as change:
        out = change.state.locked_out
        if (digest := digest_of(subject)) not in out:
            raise InputError("this person is not locked out - compare what you named, whole")
        table = schema.locked_out
        change.connection.execute(delete(table).where(table.c.subject_sha256 == digest))
        change.record("person_readmitted", pseudonym=pseudonym)
    return len(out) - 1
