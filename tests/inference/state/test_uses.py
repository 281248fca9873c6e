"""The day of a key's last use: once a day and key, beside the requests, never a reason to fail."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from bedside_inference import keys
from bedside_inference.state import uses
from bedside_inference.state.errors import StateUnavailable
from bedside_inference.state.records import Scope
from bedside_inference.state.uses import KeyUses

TODAY = date(2026, 11, 30)


@pytest.fixture
def made(store, audit) -> list[str]:
    return [keys.create(store, Scope(), days=1, audit=audit).id for _ in range(2)]


def last_used(store) -> dict[str, date | None]:
    return {key.id: key.last_used for key in store.snapshot().keys.values()}


def test_a_day_is_kept_and_never_goes_back(store, made) -> None:
    assert last_used(store) == {made[0]: None, made[1]: None}
    before = store.revision()
    store.note_uses(made, TODAY)
    store.note_uses(made[:1], TODAY + timedelta(days=1))
    store.note_uses(made, TODAY - timedelta(days=9))
    assert last_used(store) == {made[0]: TODAY + timedelta(days=1), made[1]: TODAY}
    assert store.revision() == before  # no gateway reads everything anew for it


def test_a_key_that_is_not_there_is_nobodys(store, made) -> None:
    store.note_uses(["ffffffff", made[0]], TODAY)
    assert last_used(store)[made[0]] == TODAY


def test_many_requests_are_one_write_a_day(store, made, monkeypatch) -> None:
    written: list[set[str]] = []
    monkeypatch.setattr(store, "note_uses", lambda seen, day: written.append(set(seen)))
    use = KeyUses(store)
    for _ in range(100):
        use.note(made[0])
        use.write()
    assert written == [{made[0]}]
    monkeypatch.setattr(uses, "datetime", Tomorrow)
    use.write()  # a new day begins
    use.note(made[0])
    use.write()
    assert written == [{made[0]}, {made[0]}]


class Tomorrow:
    @staticmethod
    def now(zone: object) -> datetime:
        return datetime.now(UTC) + timedelta(days=1)


def test_what_cannot_be_written_is_kept(store, made, monkeypatch) -> None:
    def away(seen: object, day: date) -> None:
        raise StateUnavailable("away")

    use = KeyUses(store)
    with monkeypatch.context() as patch:
        patch.setattr(store, "note_uses", away)
        use.note(made[0])
        use.write()
        use.note(made[1])
        use.write()
    assert (use.writing.failing, use.writing.failures) == (True, 2)
    use.write()
    assert set(last_used(store).values()) == {datetime.now(UTC).date()}


async def test_the_end_writes_what_was_noted(store, made) -> None:
    use = KeyUses(store)
    async with use.running():
        use.note(made[1])
        await asyncio.sleep(0)
    assert last_used(store) == {made[0]: None, made[1]: datetime.now(UTC).date()}
