"""Open files never run out: who rests goes, who is answered stays, and nobody is locked out."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_inference.config import AdmissionConfig
from bedside_inference.gateway.seats import FILES_KEPT, Seats

FILES = 256
RUNNING = 200
SILENT = 600


class Chair:
    """A connection."""

    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def test_who_rests_longest_goes_first_strangers_before_known() -> None:
    seats = Seats(FILES_KEPT + 2 * 3, 1000)
    assert seats.most == 3
    known, old, new = Chair(), Chair(), Chair()
    for chair in (known, old, new):
        seats.enter(chair)
    assert seats.begin(known)
    seats.rest(known, known=True)
    gone = []
    for _ in range(3):
        seats.enter(chair := Chair())
        assert seats.begin(chair)
        gone.append([each.aborted for each in (known, old, new)])
    assert gone == [[False, True, False], [False, True, True], [True, True, True]]
    last = Chair()
    seats.enter(last)  # all others are being answered
    assert not seats.begin(last)
    assert (seats.evicted, seats.refused) == (3, 1)


@pytest.mark.parametrize("files", [1, 64, 256, 1024, 20_000, 1 << 20])
@pytest.mark.parametrize("running", [1, 64, 700, 20_000])
def test_what_is_shared_out_is_there(files, running) -> None:
    seats = Seats(files, running)
    assert seats.most >= 1
    if files > 2 * FILES_KEPT:
        assert seats.most + min(seats.most, running) + FILES_KEPT <= files


@given(st.lists(st.tuples(st.sampled_from(["enter", "begin", "rest", "leave"]), st.integers(0, 9))))
def test_any_order_keeps_the_bound(steps) -> None:
    seats, chairs = Seats(FILES_KEPT + 6, 1000), [Chair() for _ in range(10)]
    inside: set[Chair] = set()
    for step, number in steps:
        chair = chairs[number]
        match step:
            case "enter" if chair not in inside and not chair.aborted:
                seats.enter(chair)
                inside.add(chair)
            case "begin" if chair in inside:
                seats.begin(chair)
            case "rest":
                seats.rest(chair, known=bool(number % 2))
            case "leave":
                seats.leave(chair)
                inside.discard(chair)
        inside = {each for each in inside if not each.aborted}
        assert len(seats) == len(inside)
        assert len(seats._busy) <= seats.most


@pytest.fixture
def child(config, home) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway process of its own that begins with few open files and may have some more."""
    admission = AdmissionConfig(max_running=RUNNING, emergency_reserve=0)
    inference = config.model_copy(update={"admission": admission})
    said = {"name": "test", "inference": inference.model_dump(mode="json", exclude_unset=True)}
    (home / "config.yaml").write_text(json.dumps(said))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES // 2, FILES))

    names = ("BEDSIDE_", "OTEL_", "PROMETHEUS_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(names)}
    command = [sys.executable, "-m", "bedside_core.cli", "inference", "gateway"]
    with (home / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--config", str(home / "config.yaml")],
            env={**environment, "BEDSIDE_HOME": str(home)},
            stdout=log,
            stderr=log,
            preexec_fn=limit,
        )
    yield process
    process.kill()
    process.wait()


async def test_a_gateway_at_its_limit_of_files(engine, child, config, home, make_key) -> None:
    url = f"http://127.0.0.1:{config.gateway.port}"
    go_on = asyncio.Event()

    async def wait(request):
        response = await engine.open_stream(request)
        await response.write(engine.chunk("a"))
        await go_on.wait()
        await response.write(b"data: [DONE]\n\n")
        return response

    body = {"model": "test", "messages": [{"role": "user", "content": "Hallo"}]}
    headers = {"Authorization": f"Bearer {make_key().secret}"}
    streams = [asyncio.Event() for _ in range(FILES)]
    refused: list[aiohttp.ClientResponse] = []

    async def stream(session: aiohttp.ClientSession, begun: asyncio.Event) -> str:
        asked = session.post(f"{url}/v1/chat/completions", json=body | {"stream": True})
        try:
            async with asked as answer:
                begun.set()
                if answer.status == 503:
                    refused.append(answer)
                    return str((await answer.json())["error"]["code"])
                await answer.read()
                return str(answer.status)
        except aiohttp.ClientError:  # closed for a newer one before it had asked
            return "evicted"
        finally:
            begun.set()

    async with aiohttp.ClientSession(
        headers=headers, connector=aiohttp.TCPConnector(limit=0, force_close=True)
    ) as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(f"{url}{path}") as answer:
                return answer.status, await answer.text()

        async with asyncio.timeout(60):
            while True:
                try:
                    if (await get("/readyz"))[0] == 200:
                        break
                except aiohttp.ClientError:
                    assert child.poll() is None
                await asyncio.sleep(0.05)
        limits = Path(f"/proc/{child.pid}/limits").read_text()
        assert re.search(rf"Max open files +{FILES} +{FILES} ", limits)

        # Silent strangers, more than there are files, lock nobody out.
        silent = []
        for number in range(SILENT):
            silent.append(await asyncio.open_connection("127.0.0.1", config.gateway.port))
            if number % 100 == 99:
                async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
                    assert answer.status == 200
        page = (await get("/metrics"))[1]
        assert re.search(r'connections_closed_total\{reason="evicted"\} [1-9]', page)

        # Streams, more than there are files: those that there is room for, and clear words.
        engine.script = wait
        tasks = []
        for begun in streams:
            tasks.append(asyncio.create_task(stream(session, begun)))
            await asyncio.wait_for(begun.wait(), 30)
        assert (await get("/livez"))[0] == 200
        page = (await get("/metrics"))[1]
        assert re.search(r'connections_closed_total\{reason="full"\} [1-9]', page)
        go_on.set()
        ended = Counter(await asyncio.gather(*tasks))
        most = Seats(FILES, RUNNING).most
        assert most - 8 <= ended["200"] <= most
        assert ended["gateway_full"] == len(refused) >= (len(streams) - most) / 2
        assert ended["200"] + ended["gateway_full"] + ended["evicted"] == len(streams)
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
        engine.script = type(engine).__dataclass_fields__["script"].default
        async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
            assert answer.status == 200
        for _, writer in silent:
            writer.close()
    assert "Traceback" not in (home / "gateway.log").read_text()
