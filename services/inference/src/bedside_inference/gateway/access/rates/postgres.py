"""Meters in PostgreSQL.

One statement reads, decides and writes, under the row's lock and by the server's clock. The table
is unlogged: what a crash of the server wipes out is at most one minute's rate per key.

Tested in tests/inference/gateway/access/test_limits.py.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection, Error

from bedside_inference.gateway.access.rates.meter import PARTS, Step, StoreError, Units

ANSWER_SECONDS = 2
"""Whoever waits longer gets an error; a gateway does not hang with its database."""

LOCK = 0x62656473696465
"""Of the advisory lock for making the table; PostgreSQL may fail when two make it at once."""

SWEEP_STEPS = 1000
"""After so many steps of one process the meters that have leaked out are deleted."""

FIND = "SELECT to_regclass('bedside_rates') IS NOT NULL"
CREATE = f"""
BEGIN;
SELECT pg_advisory_xact_lock({LOCK});
CREATE UNLOGGED TABLE IF NOT EXISTS bedside_rates (
    key text PRIMARY KEY,
    at bigint NOT NULL,
    requests bigint NOT NULL,
    tokens bigint NOT NULL,
    drained bigint NOT NULL,
    granted boolean NOT NULL
) WITH (fillfactor = 50);
COMMIT;
"""
"""Times are milliseconds; `granted` is only how the statement below returns its decision."""

STEP = """
WITH asked AS (
    SELECT %s::text AS key, %s::bigint AS rate_r, %s::bigint AS rate_t,
        %s::bigint AS full_r, %s::bigint AS full_t,
        %s::bigint AS use_r, %s::bigint AS use_t, %s::boolean AS forced
)
INSERT INTO bedside_rates AS known (key, at, requests, tokens, drained, granted)
SELECT key, now,
    CASE WHEN rate_r > 0 THEN greatest(0, use_r) ELSE 0 END,
    CASE WHEN rate_t > 0 THEN greatest(0, use_t) ELSE 0 END,
    now + 1 + greatest(use_r / nullif(rate_r, 0), use_t / nullif(rate_t, 0)),
    true
FROM asked, (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now) AS clock
ON CONFLICT (key) DO UPDATE SET (at, requests, tokens, drained, granted) = (
    SELECT now, r, t, now + 1 + greatest(r / nullif(rate_r, 0), t / nullif(rate_t, 0)), fits
    FROM asked,
    LATERAL (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now) AS clock,
    LATERAL (SELECT least(greatest(0, now - known.at), 9000000000) AS passed) AS since,
    LATERAL (
        SELECT CASE WHEN rate_r > 0 THEN greatest(0, known.requests - rate_r * passed) ELSE 0 END
                AS left_r,
            CASE WHEN rate_t > 0 THEN greatest(0, known.tokens - rate_t * passed) ELSE 0 END
                AS left_t
    ) AS leaked,
    LATERAL (
        SELECT forced OR (
            (rate_r = 0 OR left_r + use_r <= full_r)
            AND (rate_t = 0 OR left_t + use_t <= full_t)
        ) AS fits
    ) AS decided,
    LATERAL (
        SELECT CASE WHEN fits AND rate_r > 0 THEN greatest(0, left_r + use_r) ELSE left_r END AS r,
            CASE WHEN fits AND rate_t > 0 THEN greatest(0, left_t + use_t) ELSE left_t END AS t
    ) AS added
)
RETURNING granted, requests, tokens
"""
"""As `MemoryStore.step`. The clock is read once the row is locked; 9e9 ms empty any meter, and so
many times the highest rate is still a bigint."""

SWEEP = "DELETE FROM bedside_rates WHERE drained < extract(epoch FROM clock_timestamp()) * 1000"


class PostgresStore:
    """One connection, on which steps wait for each other: one takes a fraction of a millisecond.

    Each step is a task of its own: a client that leaves does not break the connection that others
    use, and nobody waits for psycopg, which asks the server once more when a step is cancelled.
    """

    def __init__(self, url: str) -> None:
        self._line = Line(url)
        self._steps: set[asyncio.Task[Step]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            # Those under way have as much time as they have anyway.
            if self._steps:
                await asyncio.wait(self._steps, timeout=ANSWER_SECONDS)
            await self._line.close()

    async def step(self, key: str, rates: Units, use: Units, *, forced: bool) -> Step:
        full = (rate * PARTS for rate in rates)
        added = (units * PARTS for units in use)
        line = self._line
        step = asyncio.create_task(line.step((stored_name(key), *rates, *full, *added, forced)))
        self._steps.add(step)
        step.add_done_callback(self._ended)
        done, _ = await asyncio.wait({step}, timeout=ANSWER_SECONDS)
        if not done:
            step.cancel()
            # Nobody waits behind a silent server.
            if self._line is line:
                self._line = Line(line.url)
            raise StoreError from TimeoutError()
        try:
            return step.result()
        except (Error, OSError) as error:
            raise StoreError from error

    def _ended(self, step: asyncio.Task[Step]) -> None:
        self._steps.discard(step)
        if not step.cancelled():
            step.exception()  # nobody may be left to look at it


def stored_name(key: str) -> str:
    """What the table calls a key; a token's key names a person."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


class Line:
    """A connection that is made when it is needed and given up when anything goes wrong."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = asyncio.Lock()
        self._connection: AsyncConnection | None = None
        self._steps = 0

    async def step(self, arguments: tuple[object, ...]) -> Step:
        async with self._lock:
            try:
                if self._connection is None:
                    self._connection = await self._connect()
                cursor = await self._connection.execute(STEP, arguments, prepare=True)
                row = await cursor.fetchone()
                self._steps += 1
                if self._steps % SWEEP_STEPS == 0:
                    await self._connection.execute(SWEEP)
            except BaseException:
                await self.close()
                raise
        assert row is not None  # noqa: S101 - the statement always writes one
        return Step(*row)

    async def _connect(self) -> AsyncConnection:
        connection = await AsyncConnection.connect(
            self.url, autocommit=True, connect_timeout=ANSWER_SECONDS
        )
        try:
            cursor = await connection.execute(FIND)
            # Not every role that may use the table may also make one.
            if await cursor.fetchone() != (True,):
                await connection.execute(CREATE)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
