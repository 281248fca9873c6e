"""State database, audit log and clock go wrong under a running gateway."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from bedside_core.errors import ArtifactError
from bedside_inference.audit import chain
from bedside_inference.audit.journal import audit_directory
from bedside_inference.audit.verify import verify
from bedside_inference.config import AuditConfig, StateConfig
from bedside_inference.gateway.access import authentication
from bedside_inference.state import watch

DONE = b"data: [DONE]\n\n"


async def code_of(gateway, **changes) -> str:
    """The code of a refusal, or nothing."""
    async with gateway.chat(**changes) as answer:
        said = await answer.json()
        assert answer.status == (503 if "error" in said else 200)
        if answer.status == 503:
            assert int(answer.headers["retry-after"]) > 0
        return said.get("error", {}).get("code", "")


async def ready(gateway) -> bool:
    async with gateway.session.get(f"{gateway.url}/readyz") as answer:
        return answer.status == 200


async def until(gateway, wanted: str, before: Callable[[], None] = lambda: None) -> int:
    """Ask until the code is this one; returns how often."""
    asked = 0
    async with asyncio.timeout(30):
        while True:
            before()
            asked += 1
            found = await code_of(gateway)
            if found == wanted:
                return asked
            await asyncio.sleep(0.02)


@pytest.fixture
def forget(monkeypatch) -> Callable[[], None]:
    """Lets time pass for what the gateway knows: more than it lives without its database."""
    ahead = 0.0

    def forget() -> None:
        nonlocal ahead
        ahead += StateConfig().stale_seconds

    monkeypatch.setattr(watch, "monotonic", lambda: time.monotonic() + ahead)
    return forget


def overwrite(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace(path: Path) -> None:
    path.unlink()
    path.mkdir()


def mend(path: Path, kept: bytes) -> None:
    """Put it back in place, as a restored backup does."""
    if path.is_dir():
        path.rmdir()
    path.write_bytes(kept)


@pytest.mark.parametrize("harm", [overwrite, empty, replace])
async def test_the_state_database_is_damaged(
    engine, gateway, home, ledger, recovers, harm, forget
) -> None:
    go_on = asyncio.Event()
    database = home / "gateway" / "state.sqlite3"
    kept = database.read_bytes()

    async def wait_then_finish(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("a"))
        await go_on.wait()
        await response.write(DONE)
        return response

    engine.script = wait_then_finish
    async with gateway.chat(stream=True) as answer:
        await answer.content.readexactly(len(engine.marked(engine.chunk("a"))))
        engine.script = type(engine).__dataclass_fields__["script"].default
        harm(database)
        asked = await until(gateway, "state_unavailable", forget)
        go_on.set()
        assert await answer.content.read() == DONE  # who was let in is served
    records = await ledger.take(asked + 1)
    outcomes = [record["outcome"] for record in records]
    assert outcomes.count("state_unavailable") == 1
    assert all(record["pseudonym"] for record in records if record["outcome"] == "answered")
    mend(database, kept)
    asked = await until(gateway, "")
    await ledger.take(asked)
    await recovers(gateway, engine)


class Disk:
    """The audit's writes, until it is full."""

    def __init__(self, monkeypatch) -> None:
        self.full = False
        self.write, self.pwrite = os.write, os.pwrite
        monkeypatch.setattr(chain, "os", self)

    def __getattr__(self, name: str):
        return getattr(os, name)

    def _check(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk(monkeypatch) -> Disk:
    found = Disk(monkeypatch)
    write, pwrite = os.write, os.pwrite

    def checked_write(handle: int, data: bytes) -> int:
        found._check()
        return write(handle, data)

    def checked_pwrite(handle: int, data: bytes, at: int) -> int:
        found._check()
        return pwrite(handle, data, at)

    found.write, found.pwrite = checked_write, checked_pwrite
    return found


@pytest.fixture
async def careful(config, open_gateway):
    """A gateway whose audit log looks every 0.1 s whether it can write again."""
    audit = AuditConfig(sync_seconds=0.1)
    async with open_gateway(config.model_copy(update={"audit": audit})) as door:
        yield door


async def test_the_audits_disk_is_full(engine, careful, disk, ledger, recovers) -> None:
    go_on = asyncio.Event()

    async def wait_then_finish(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("a"))
        await go_on.wait()
        await response.write(DONE)
        return response

    engine.script = wait_then_finish
    async with careful.chat(stream=True) as answer:
        await answer.content.readexactly(len(engine.marked(engine.chunk("a"))))
        before = len(engine.bodies)
        disk.full = True
        for _ in range(3):
            assert await code_of(careful) == "audit_unavailable"
        assert await code_of(careful, model="other") == "audit_unavailable"
        async with careful.session.get(f"{careful.url}/readyz") as asked:
            assert (asked.status, (await asked.json())["status"]) == (503, "audit unavailable")
        async with careful.session.get(f"{careful.url}/metrics") as page:
            assert "bedside_gateway_audit_writable 0.0" in await page.text()
        async with careful.session.get(f"{careful.url}/livez") as alive:
            assert alive.status == 200
        assert len(engine.bodies) == before  # none of them got there
        go_on.set()
        assert await answer.content.read() == DONE
    await engine.freed()
    assert ledger.entries() == []
    assert await code_of(careful) == "audit_unavailable"
    disk.full = False
    async with asyncio.timeout(30):
        while not await ready(careful):
            await asyncio.sleep(0.02)  # by itself
    record = await ledger.one()
    assert (record["outcome"], record["status"]) == ("answered", 200)
    recovered = ledger.entries("recovered")
    assert [(found["reason"], found["unrecorded"]) for found in recovered] == [("unwritable", 5)]
    await recovers(careful, engine)
    async with careful.session.get(f"{careful.url}/metrics") as page:
        assert "bedside_gateway_audit_writable 1.0" in await page.text()


@pytest.mark.parametrize("harm", ["cut", "gone", "changed", "head"])
async def test_the_audit_is_tampered_with(engine, careful, ledger, tmp_path, harm) -> None:
    """A log that was shortened is not written on; one that looks whole is found by `verify`."""
    assert await code_of(careful) == ""
    await ledger.one()
    [segment] = ledger.directory.glob("segment-*.jsonl")
    kept = segment.read_bytes()
    before = len(engine.bodies)
    match harm:
        case "cut":
            os.truncate(segment, len(kept) - 200)
        case "gone":
            segment.unlink()
        case "head":
            (ledger.directory / "head").unlink()
        case "changed":
            with segment.open("r+b") as file:
                file.seek(kept.index(b'"outcome":"answered"') + 12)
                file.write(b"Answered")
    if harm == "changed":
        assert await code_of(careful) == ""
        with pytest.raises(ArtifactError, match="does not match its hash"):
            verify(ledger.directory)
    else:
        assert [await code_of(careful) for _ in range(3)] == ["audit_unavailable"] * 3
        await asyncio.sleep(0.3)  # nor does it come back by itself
        assert await code_of(careful) == "audit_unavailable"
        assert len(engine.bodies) == before
    shutil.move(ledger.directory, tmp_path / "evidence")


class Clock:
    """The wall clock of the gateway and its audit."""

    def __init__(self, monkeypatch) -> None:
        self.hours = 0.0
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + self.hours * 3600)
        clock = self

        class Jumping(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) + timedelta(hours=clock.hours)

        monkeypatch.setattr(authentication, "datetime", Jumping)


@pytest.fixture
def clock(monkeypatch) -> Iterator[Clock]:
    found = Clock(monkeypatch)
    yield found
    found.hours = 0


async def test_the_clock_jumps(engine, config, gateway, make_key, clock, ledger, recovers) -> None:
    limited = make_key(requests_per_minute=3).secret  # valid for a day
    await gateway.looked()

    async def ask(key: str | None = None, jump: float | None = None) -> int:
        async def jumping(request: web.Request) -> web.StreamResponse:
            clock.hours = jump if jump is not None else clock.hours
            return web.json_response({"choices": []})

        engine.script = jumping
        headers = {"Authorization": f"Bearer {key or gateway.key}"}
        body = b'{"model": "test", "messages": [{"role": "user", "content": "a"}]}'
        async with gateway.post(body, headers=headers) as answer:
            return answer.status

    # Within a request, in both directions: what was measured stays true, below any jump.
    for hours in (5.0, -5.0, 0.0, -20.0, 10.0, 0.0):
        assert await ask(jump=hours) == 200
    for record in await ledger.take(6):
        for name in ("duration_ms", "queued_ms", "first_byte_ms"):
            assert 0 <= record[name] < 3_600_000
    # Keys follow the clock, rates do not.
    assert [await ask(limited) for _ in range(4)] == [200, 200, 200, 429]
    for hours, status in ((-12.0, 429), (12.0, 429), (25.0, 401), (-12.0, 429)):
        clock.hours = hours
        assert (hours, await ask(limited)) == (hours, status)
        assert (hours, await ask()) == (hours, 401 if status == 401 else 200)
    clock.hours = 0.0
    outcomes = [record["outcome"] for record in await ledger.take(12)]
    assert outcomes.count("rate_limit_exceeded") == 4
    assert outcomes.count("invalid_api_key") == 2
    await recovers(gateway, engine)
    report = verify(ledger.directory)
    assert report.entries["request"] == ledger.taken


async def strangers(gateway, count: int) -> Counter[int]:
    """Ask so often without a key, in three ways."""
    seen: Counter[int] = Counter()
    for number in range(count):
        method, path = (("GET", "/v1/x"), ("GET", "/v1/models"), ("OPTIONS", "/v1/models"))[
            number % 3
        ]
        async with gateway.session.request(method, f"{gateway.url}{path}") as answer:
            seen[answer.status] += 1
    return seen


async def test_a_flood_of_strangers_is_counted(engine, config, open_gateway, ledger) -> None:
    async with open_gateway(config) as gateway:
        assert await strangers(gateway, 90) == {404: 30, 401: 30, 405: 30}
        assert await code_of(gateway) == ""
        async with gateway.session.get(f"{gateway.url}/metrics") as page:
            counted = 'requests_total{route="unknown",status="404"} 30.0'
            assert counted in await page.text()
        *refused, served = await ledger.take(21)
        assert Counter(each["status"] for each in refused) == {404: 7, 401: 7, 405: 6}
        assert served["outcome"] == "answered"
    [entry] = ledger.entries("refused")
    assert entry["counts"] == {
        "unknown unknown_route": 23,
        "/v1/models invalid_api_key": 23,
        "/v1/models method_not_allowed": 24,
    }
    assert (entry["requests"], entry["networks"]) == (70, 1)


@pytest.fixture
def disk_of_its_own(config, home) -> Iterator[Path]:
    """A real file system of 8 MiB for the audit, in the place of its directory."""
    directory = audit_directory(config.audit, home)
    directory.mkdir(mode=0o700, parents=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "none", directory], capture_output=True
    )
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    yield directory
    subprocess.run(["umount", directory], check=True)
    directory.rmdir()


async def test_strangers_leave_a_reserve_of_the_disk(
    engine, config, open_gateway, ledger, recovers, disk_of_its_own
) -> None:
    audit = AuditConfig(sync_seconds=0.05, reserve_bytes=4 << 20)

    async def looked(gateway) -> int:
        await asyncio.sleep(0.3)
        async with gateway.session.get(f"{gateway.url}/metrics") as page:
            found = re.search(r"^bedside_gateway_audit_free_bytes (\S+)$", await page.text(), re.M)
        assert found
        return int(float(found[1]))

    async with open_gateway(config.model_copy(update={"audit": audit})) as gateway:
        filler = disk_of_its_own / "filler"
        await strangers(gateway, 2)
        await ledger.take(2)
        filler.write_bytes(bytes(5 << 20))
        assert 0 < await looked(gateway) < audit.reserve_bytes
        await strangers(gateway, 6)  # leave no record from here on
        for _ in range(3):
            assert await code_of(gateway) == ""
        assert {each["outcome"] for each in await ledger.take(3)} == {"answered"}
        # Until it is really full.
        with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)) == 4096:
                pass
        async with asyncio.timeout(30):
            while (code := await code_of(gateway)) == "":
                pass
        assert code == "audit_unavailable"
        filler.unlink()
        async with asyncio.timeout(30):
            while not await ready(gateway):
                await asyncio.sleep(0.02)
        await ledger.take(len(ledger.entries()) - ledger.taken)
        await recovers(gateway, engine)
    counted = ledger.entries("refused")
    assert sum(each["requests"] for each in counted) >= 6
    assert any(each["scarce"] for each in counted)
    assert verify(disk_of_its_own)
