"""What every fault must leave behind: one record, a free engine, a gateway that answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bedside_inference.audit.journal import audit_directory
from bedside_inference.audit.verify import verify


class Ledger:
    """The audit log as it grows."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.taken = directory, 0

    def entries(self, kind: str = "request") -> list[dict[str, Any]]:
        """All entries of a type, in order."""
        lines = [
            json.loads(line)
            for segment in sorted(self.directory.glob("segment-*.jsonl"))
            for line in segment.read_bytes().splitlines(keepends=True)
            if line.endswith(b"\n")
        ]
        return [line for line in lines if line["type"] == kind]

    async def take(self, count: int = 1) -> list[dict[str, Any]]:
        """Wait for so many more records of requests; there must not be a further one."""
        wanted = self.taken + count
        async with asyncio.timeout(30):
            while len(found := self.entries()) < wanted:
                await asyncio.sleep(0.02)
        taken, self.taken = found[self.taken :], wanted
        assert len(taken) == count, [record["outcome"] for record in taken]
        return taken

    async def one(self) -> dict[str, Any]:
        """The one record that must have come since the last look."""
        [record] = await self.take()
        return record


@pytest.fixture(autouse=True)
def ledger(config, home) -> Iterator[Ledger]:
    """The audit log of the gateway; whole, and without a record that no test expected."""
    found = Ledger(audit_directory(config.audit, home))
    yield found
    if found.directory.exists():
        assert len(found.entries()) == found.taken
        verify(found.directory)


@pytest.fixture
def raw(config) -> Callable[..., Awaitable[bytes]]:
    """Sends bytes as they are and reads until the connection is closed."""

    async def exchange(request: bytes, *, seconds: float = 5) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", config.gateway.port)
        try:
            writer.write(request)
            return await asyncio.wait_for(reader.read(), seconds)
        finally:
            writer.close()

    return exchange


@pytest.fixture
def recovers(ledger) -> Callable[..., Awaitable[None]]:
    """Asserts that the engine is free and that the next request is answered."""

    async def check(gateway, engine) -> None:
        async with asyncio.timeout(30):
            while engine.running:
                await asyncio.sleep(0.02)
            engine.script = type(engine).__dataclass_fields__["script"].default
            while True:
                async with gateway.chat() as answer:
                    code = (await answer.json()).get("error", {}).get("code")
                outcome = (await ledger.one())["outcome"]
                if answer.status == 200:
                    break
                # After nobody listened, the next look finds the engine again.
                assert (outcome, code) == ("model_loading", "model_loading")
                await asyncio.sleep(0.02)
        assert outcome == "answered"
        async with gateway.session.get(f"{gateway.url}/metrics") as answer:
            assert "bedside_gateway_requests_in_flight 1.0" in await answer.text()

    return check
