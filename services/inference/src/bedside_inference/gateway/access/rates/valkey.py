"""Meters in Valkey, or in another server that speaks RESP and runs Lua scripts.

One script reads, decides and writes, by the server's clock; the server runs nothing beside it.

Tested in tests/inference/gateway/access/test_limits.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from valkey.asyncio import BlockingConnectionPool, Valkey
from valkey.exceptions import ValkeyError

from bedside_inference.gateway.access.rates.meter import (
    ANSWER_SECONDS,
    PARTS,
    Step,
    StoreError,
    Units,
    stored_name,
)
from bedside_inference.gateway.access.rates.steps import Steps
from bedside_inference.secret import read_secret

PASSWORD = "valkey-password"  # noqa: S105 - the name of a file
CONNECTIONS = 16
"""Of one process; more requests wait for one of them to come free."""

SCRIPT = f"""
local rates = {{tonumber(ARGV[1]), tonumber(ARGV[2])}}
local uses = {{tonumber(ARGV[3]), tonumber(ARGV[4])}}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local at, levels = now, {{0, 0}}
local known = redis.call('GET', KEYS[1])
if known then
  local then_, first, second = string.match(known, '^(%d+) (%d+) (%d+)$')
  at, levels = tonumber(then_), {{tonumber(first), tonumber(second)}}
end
local passed = math.max(0, now - at)
local after, granted, wait = {{0, 0}}, 1, 0
for i = 1, 2 do
  if rates[i] > 0 then
    levels[i] = math.max(0, levels[i] - rates[i] * passed)
    after[i] = levels[i] + uses[i] * {PARTS}
    if after[i] > rates[i] * {PARTS} and ARGV[5] == '0' then granted = 0 end
    after[i] = math.max(0, after[i])
    wait = math.max(wait, math.ceil(after[i] / rates[i]))
  else
    levels[i] = 0
  end
end
if granted == 0 then return {{0, levels[1], levels[2]}} end
if wait > 0 then
  local text = string.format('%.0f %.0f %.0f', now, after[1], after[2])
  redis.call('SET', KEYS[1], text, 'PX', string.format('%.0f', wait))
else
  redis.call('DEL', KEYS[1])
end
return {{1, after[1], after[2]}}
"""
"""As `MemoryStore.step`; what has leaked out is the same as nothing, so that expires."""


class ValkeyStore:
    """One key per meter, with the time to live that it takes to leak out."""

    def __init__(self, url: str) -> None:
        """Prepare, without connecting.

        Raises:
            ConfigError: the URL has a user but the secret `valkey-password` is missing.
        """
        password = read_secret(PASSWORD) if urlsplit(url).username else None
        # A step is not repeated by itself: it may have been counted the first time.
        self._client = Valkey.from_pool(
            BlockingConnectionPool.from_url(
                url,
                password=password,
                max_connections=CONNECTIONS,
                timeout=ANSWER_SECONDS,
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
            )
        )
        self._script = self._client.register_script(SCRIPT)
        self._steps = Steps()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self._steps.ended()
            await self._client.aclose()

    async def step(self, key: str, rates: Units, use: Units, *, forced: bool) -> Step:
        arguments = (*rates, *use, int(forced))
        # EVALSHA, or after a restart of the server once more with the script itself.
        step = self._script([f"bedside:rate:{stored_name(key)}"], arguments)
        try:
            granted, requests, tokens = await self._steps.take(step)
        except (ValkeyError, OSError) as error:
            raise StoreError from error
        return Step(bool(granted), requests, tokens)
