"""Rates: exact in both stores, with several processes, and closed while the store is away."""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import signal
import time
from collections.abc import Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_inference.config import LimitsConfig
from bedside_inference.gateway.access.limits import Grant, Limits, make_limits
from bedside_inference.gateway.access.rates import meter
from bedside_inference.gateway.access.rates import postgres as postgres_store
from bedside_inference.gateway.access.rates.memory import KEPT, MemoryStore
from bedside_inference.gateway.access.rates.meter import MOST, Units
from bedside_inference.gateway.errors import ApiError

PROCESSES = 4
PROMISED_SECONDS = postgres_store.ANSWER_SECONDS


class Clock:
    """Milliseconds that pass when a test says so."""

    def __init__(self) -> None:
        self.milliseconds = 1_000_000

    def __call__(self) -> float:
        return self.milliseconds / 1000


def limits(clock: Clock | None = None) -> Limits:
    return Limits(MemoryStore(clock or Clock()))


async def refused(tested: Limits, *arguments) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await tested.take(*arguments)
    return caught.value


async def test_a_minutes_worth_comes_at_once_and_then_one_by_one() -> None:
    clock = Clock()
    tested = limits(clock)
    for left in range(59, -1, -1):
        grant = await tested.take("a", 60, None, 10**6)
        assert grant.headers == {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": str(left),
            "x-ratelimit-reset-requests": "1m0s" if left == 0 else f"{60 - left}s",
        }
    error = await refused(tested, "a", 60, None, 1)
    assert (error.status, error.code) == (429, "rate_limit_exceeded")
    assert error.headers == {
        "Retry-After": "1",
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }
    await tested.take("b", 60, None, 1)  # another key is another matter
    clock.milliseconds += 999
    await refused(tested, "a", 60, None, 1)
    clock.milliseconds += 1
    await tested.take("a", 60, None, 1)
    await refused(tested, "a", 60, None, 1)


async def test_not_a_millisecond_early() -> None:
    clock = Clock()
    tested = limits(clock)
    await tested.take("a", 1, None, 0)
    clock.milliseconds += 59_999
    await refused(tested, "a", 1, None, 0)
    clock.milliseconds += 1
    await tested.take("a", 1, None, 0)


async def test_both_are_charged_or_neither() -> None:
    clock = Clock()
    tested = limits(clock)
    await tested.take("a", 10, 1000, 900)
    error = await refused(tested, "a", 10, 1000, 200)
    assert error.headers == {
        "Retry-After": "6",
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-reset-requests": "6s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "100",
        "x-ratelimit-reset-tokens": "54s",
    }
    for _ in range(9):
        await tested.take("a", 10, 1000, 0)
    error = await refused(tested, "a", 10, 1000, 100)
    assert error.headers is not None
    assert error.headers["x-ratelimit-remaining-tokens"] == "100"
    clock.milliseconds += 60_000
    grant = await tested.take("a", 10, 1000, 1000)
    assert grant.headers["x-ratelimit-remaining-requests"] == "9"


async def test_retry_after_is_exactly_when_it_works_again() -> None:
    clock = Clock()
    tested = limits(clock)
    await tested.take("a", 7, 1234, 1234)
    error = await refused(tested, "a", 7, 1234, 1000)
    assert error.headers is not None
    clock.milliseconds += int(error.headers["Retry-After"]) * 1000 - 1000
    await refused(tested, "a", 7, 1234, 1000)
    clock.milliseconds += 1000
    await tested.take("a", 7, 1234, 1000)


async def test_the_true_number_takes_the_place_of_the_estimate() -> None:
    clock = Clock()
    tested = limits(clock)
    grant = await tested.take("a", None, 1000, 1000)
    await refused(tested, "a", None, 1000, 1)
    await tested.settle(grant, 100)
    await tested.settle(grant, 100)  # the same news again changes nothing
    grant = await tested.take("a", None, 1000, 900)
    await tested.settle(grant, 1900)
    error = await refused(tested, "a", None, 1000, 0)
    assert error.headers is not None
    assert error.headers["Retry-After"] == "60"
    assert error.headers["x-ratelimit-remaining-tokens"] == "0"
    clock.milliseconds += 60_000
    await refused(tested, "a", None, 1000, 1)
    await tested.take("a", None, 1000, 0)
    clock.milliseconds += 10**9
    await tested.settle(grant, 0)  # late: a full allowance does not become fuller
    await tested.take("a", None, 1000, 1000)
    await refused(tested, "a", None, 1000, 1)


async def test_what_never_fits_is_refused_for_good_and_costs_nothing() -> None:
    tested = limits()
    error = await refused(tested, "a", 1, 100, 101)
    assert (error.status, error.code) == (400, "too_many_tokens")
    assert error.headers is not None and "Retry-After" not in error.headers
    await tested.take("a", 1, 100, 100)


async def test_a_key_without_limits_never_touches_the_store() -> None:
    tested = Limits(None)  # type: ignore[arg-type]
    grant = await tested.take("a", None, None, 10**12)
    assert grant.headers == {}
    await tested.settle(grant, 5)


async def test_changed_rates_count_what_was_used() -> None:
    tested = limits()
    for _ in range(5):
        await tested.take("a", 5, None, 0)
    await refused(tested, "a", 5, None, 0)
    for _ in range(5):
        await tested.take("a", 10, None, 0)
    await refused(tested, "a", 10, None, 0)
    await tested.take("a", None, 10, 10)
    await tested.take("a", 1, None, 0)  # its requests were not counted meanwhile


async def test_absurd_numbers_do_no_harm() -> None:
    tested = limits()
    grant = await tested.take("a", 10**30, 10**30, MOST)
    assert grant.headers["x-ratelimit-limit-tokens"] == str(MOST)
    await tested.settle(grant, 10**30)
    grant = await tested.take("b", None, 10, -5)
    assert grant.tokens == 0


async def test_meters_that_leaked_out_are_forgotten() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    tested = Limits(store)
    for number in range(20 * KEPT):
        clock.milliseconds += 100
        await tested.take(f"k{number}", 60, None, 0)  # empty again after a second
    assert len(store) <= 2 * KEPT


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(0, 90_000)),
        st.tuples(st.just("take"), st.integers(0, 40)),
        st.tuples(st.just("settle"), st.integers(0, 20), st.integers(0, 80)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 13), st.integers(1, 40), STEPS)
def test_it_does_what_a_bucket_of_fractions_would(per_minute, tokens_per_minute, steps) -> None:
    """The reference fills two buckets millisecond by millisecond, in exact fractions."""
    from fractions import Fraction

    clock = Clock()
    tested = limits(clock)
    has = {"requests": Fraction(per_minute), "tokens": Fraction(tokens_per_minute)}
    rates = {"requests": per_minute, "tokens": tokens_per_minute}
    grants: list[Grant] = []

    async def play() -> None:
        for step in steps:
            match step:
                case ("pass", milliseconds):
                    clock.milliseconds += milliseconds
                    for kind, rate in rates.items():
                        filled = has[kind] + Fraction(rate * milliseconds, 60_000)
                        has[kind] = min(Fraction(rate), filled)
                case ("take", tokens):
                    allowed = has["requests"] >= 1 and has["tokens"] >= tokens
                    try:
                        grant = await tested.take("a", per_minute, tokens_per_minute, tokens)
                    except ApiError as error:
                        assert not allowed
                        assert (error.status == 400) == (tokens > tokens_per_minute)
                        continue
                    assert allowed
                    has["requests"] -= 1
                    has["tokens"] -= tokens
                    grants.append(grant)
                    for kind, left in has.items():
                        shown = int(grant.headers[f"x-ratelimit-remaining-{kind}"])
                        assert shown == left.__floor__()
                case ("settle", number, tokens) if number < len(grants):
                    grant = grants[number]
                    returned = has["tokens"] + grant.tokens - tokens
                    has["tokens"] = min(Fraction(tokens_per_minute), returned)
                    await tested.settle(grant, tokens)

    asyncio.run(play())


# With a real server


@pytest.fixture(autouse=True)
def patience(monkeypatch) -> Callable[[float], None]:
    """Sets how many seconds a server may take; from the start more than a slow machine needs."""

    def wait(seconds: float) -> None:
        monkeypatch.setattr(postgres_store, "ANSWER_SECONDS", seconds)

    wait(60)
    return wait


async def granted(tested: Limits, *arguments) -> None:
    """Ask until the store answers."""
    async with asyncio.timeout(30):
        while True:
            try:
                await tested.take(*arguments)
            except ApiError as error:
                assert error.code == "limits_unavailable"
            else:
                return


@asynccontextmanager
async def connected(postgres):
    tested = make_limits(LimitsConfig(url=postgres.url))
    async with tested.running():
        yield tested


@pytest.fixture
def key(request) -> str:
    """A key that no other test has used."""
    return request.node.name


async def test_a_store_outside_decides_as_the_one_inside(postgres, key) -> None:
    async with connected(postgres) as tested:
        grant = await tested.take(key, 2, 1000, 900)
        assert grant.headers["x-ratelimit-limit-tokens"] == "1000"
        assert grant.headers["x-ratelimit-remaining-requests"] == "1"
        assert int(grant.headers["x-ratelimit-remaining-tokens"]) == 100
        error = await refused(tested, key, 2, 1000, 400)
        assert error.headers is not None
        # 18, less what a slow machine took to ask.
        assert error.code == "rate_limit_exceeded"
        assert 10 <= int(error.headers["Retry-After"]) <= 18
        await tested.settle(grant, 300)
        again = await tested.take(key, 2, 1000, 400)
        assert 300 <= int(again.headers["x-ratelimit-remaining-tokens"]) < 400
        error = await refused(tested, key, 2, 1000, 0)
        assert error.headers is not None
        assert 20 <= int(error.headers["Retry-After"]) <= 30
        await tested.settle(again, 2000)
        assert int((await refused(tested, key, 9, 1000, 0)).headers["Retry-After"]) > 60
        await tested.settle(again, 0)
        await tested.take(key, 9, 1000, 600)
        await tested.take(key, None, 10**6, 10**5)
        await tested.take(key, 1, None, 0)


async def test_time_gives_back_what_was_used(postgres, key) -> None:
    async with connected(postgres) as tested:
        began = time.monotonic()
        granted = 0
        async with asyncio.timeout(60):
            while granted < 610:
                try:
                    await tested.take(key, 600, None, 0)
                    granted += 1
                except ApiError:
                    await asyncio.sleep(0.005)
        assert time.monotonic() - began > 0.9  # ten come back in a second


async def test_numbers_at_their_bounds_stay_exact(postgres, key) -> None:
    async with connected(postgres) as tested:
        step = await tested._store.step(key, Units(MOST, MOST), Units(1, MOST), forced=False)
        assert step == (True, meter.PARTS, MOST * meter.PARTS)
        began = time.monotonic()
        step = await tested._store.step(key, Units(0, 1), Units(0, MOST), forced=True)
        assert step.granted
        # What leaked out in between, at the rate of the second.
        assert 2 * MOST * meter.PARTS - step.tokens < 1000 * (time.monotonic() - began) + 1000


async def test_the_store_learns_no_name(postgres) -> None:
    async with connected(postgres) as tested:
        await tested.take("https://idp.example|erika", 1, None, 0)
    with psycopg.connect(postgres.url) as connection:
        found = str(connection.execute("SELECT * FROM bedside_rates").fetchall())
    assert postgres_store.stored_name("https://idp.example|erika") in found
    assert "erika" not in found


def _greedy(url: str, key: str, start, results) -> None:
    async def take_all() -> tuple[int, int]:
        requests = tokens = 0
        tested = make_limits(LimitsConfig(url=url))
        async with tested.running():

            async def one(number: int) -> None:
                nonlocal requests, tokens
                try:
                    await tested.take(key, 30, None, 0)
                    requests += 1
                except ApiError as error:
                    assert error.code == "rate_limit_exceeded"
                try:
                    await tested.take(f"{key}-tokens", None, 30, 3)
                    tokens += 3
                except ApiError as error:
                    assert error.code == "rate_limit_exceeded"

            await asyncio.gather(*(one(number) for number in range(25)))
        return requests, tokens

    start.wait()
    results.put(asyncio.run(take_all()))


async def test_four_processes_get_together_what_one_may(postgres, key) -> None:
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(PROCESSES + 1), context.Queue()
    processes = [
        context.Process(target=_greedy, args=(postgres.url, key, start, results))
        for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    began = time.monotonic()
    start.wait(60)
    granted = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    seconds = time.monotonic() - began
    requests = sum(found[0] for found in granted)
    tokens = sum(found[1] for found in granted)
    assert 30 <= requests <= 30 + int(seconds / 2)
    assert 30 <= tokens <= 30 + int(seconds / 2)


async def test_many_at_once_in_one_process(postgres, key) -> None:
    async with connected(postgres) as tested:

        async def one() -> bool:
            try:
                await tested.take(key, 100, None, 0)
            except ApiError as error:
                assert error.code == "rate_limit_exceeded"
                return False
            return True

        began = time.monotonic()
        granted = sum(await asyncio.gather(*(one() for _ in range(400))))
        assert 100 <= granted <= 100 + int((time.monotonic() - began) * 100 / 60) + 1


async def test_clients_that_leave_do_not_break_it_for_others(postgres, key) -> None:
    async with connected(postgres) as tested:

        async def ask(number: int) -> None:
            grant = await tested.take(f"{key}{number}", 60, 10**6, number)
            # An answer that belonged to somebody else would show here.
            assert grant.headers["x-ratelimit-remaining-tokens"] == str(10**6 - number)

        for turn in range(20):
            tasks = [asyncio.create_task(ask(turn * 30 + number)) for number in range(30)]
            await asyncio.sleep(0.001 * (turn % 4))
            for task in tasks[::2]:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(end is None for end in ended[1::2]), ended
            assert all(end is None or type(end) is asyncio.CancelledError for end in ended[::2])


async def test_killed_among_many_requests_and_back_again(postgres, key) -> None:
    async with connected(postgres) as tested:

        async def ask() -> str:
            try:
                await tested.take(key, 10_000, None, 0)
            except ApiError as error:
                return error.code
            return "granted"

        assert set(await asyncio.gather(*(ask() for _ in range(50)))) == {"granted"}
        asked = [asyncio.create_task(ask()) for _ in range(300)]
        await asyncio.sleep(0.01)
        postgres.kill()
        assert set(await asyncio.gather(*asked)) <= {"granted", "limits_unavailable"}
        assert await ask() == "limits_unavailable"
        postgres.start()
        # No connection from before is tried first.
        assert set(await asyncio.gather(*(ask() for _ in range(50)))) == {"granted"}


async def test_while_the_store_is_away_only_keys_without_limits_pass(postgres, key, caplog) -> None:
    caplog.set_level("INFO", "bedside_inference")
    async with connected(postgres) as tested:
        grant = await tested.take(key, 60, 100, 1)
        postgres.kill()
        for _ in range(3):
            async with asyncio.timeout(30):  # nobody waits for its return
                error = await refused(tested, key, 60, 100, 1)
            assert (error.status, error.code) == (503, "limits_unavailable")
            assert error.headers == {"Retry-After": "5"}
        await tested.settle(grant, 5)  # lost, but the answer is not
        await tested.take("free", None, None, 1)
        postgres.start()
        await tested.take(key, 60, 100, 1)
    said = [record.getMessage() for record in caplog.records if "rates" in record.getMessage()]
    assert said == ["rates cannot be counted", "rates are counted again"]
    assert not re.search(r"bedside@|127\.0\.0\.1", caplog.text)


async def test_a_frozen_store_is_not_waited_for(postgres, key, patience) -> None:
    patience(PROMISED_SECONDS)
    async with connected(postgres) as tested:
        await granted(tested, key, 60, None, 1)
        postgres.signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(30):  # it stays frozen for as long as they take
                asked = (refused(tested, key, 60, None, 1) for _ in range(20))
                errors = await asyncio.gather(*asked)
            assert {error.code for error in errors} == {"limits_unavailable"}
        finally:
            postgres.signal(signal.SIGCONT)
        await granted(tested, key, 60, None, 1)


async def test_a_new_server_without_a_table_is_made_ready(postgres, key) -> None:
    async with connected(postgres) as tested:
        await tested.take(key, 1, None, 0)
        with psycopg.connect(postgres.url) as connection:
            connection.execute("DROP TABLE bedside_rates")
        assert (await refused(tested, key, 1, None, 0)).code == "limits_unavailable"
        await tested.take(key, 1, None, 0)


def _first(url: str, start, results) -> None:
    async def take() -> None:
        tested = make_limits(LimitsConfig(url=url))
        async with tested.running():
            await tested.take("first", 60, None, 0)

    start.wait()
    asyncio.run(take())
    results.put(True)


async def test_processes_that_start_together_make_one_table(postgres) -> None:
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        with psycopg.connect(postgres.url) as connection:
            connection.execute("DROP TABLE IF EXISTS bedside_rates")
        start, results = context.Barrier(PROCESSES), context.Queue()
        processes = [
            context.Process(target=_first, args=(postgres.url, start, results))
            for _ in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
            assert process.exitcode == 0


async def test_a_role_that_may_make_no_table_uses_the_one_that_is_there(postgres, key) -> None:
    async with connected(postgres) as tested:
        await tested.take(key, 60, None, 0)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain LOGIN")
        connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON bedside_rates TO plain")
    plain = make_limits(LimitsConfig(url=postgres.url.replace("bedside@", "plain@")))
    async with plain.running():
        await plain.take(key, 60, None, 0)


async def test_the_clock_is_read_once_the_row_is_free(postgres, key) -> None:
    """A clock read before the wait would make the meter leak twice for that time."""
    name = postgres_store.stored_name(key)
    async with connected(postgres) as tested:
        await tested.take(key, 60, None, 0)
        async with await psycopg.AsyncConnection.connect(postgres.url) as holder:
            await holder.execute("SELECT 1 FROM bedside_rates WHERE key = %s FOR UPDATE", (name,))
            waiting = asyncio.create_task(tested.take(key, 60, None, 0))
            await asyncio.sleep(0.3)
            cursor = await holder.execute("SELECT extract(epoch FROM clock_timestamp()) * 1000")
            released = (await cursor.fetchone())[0]
            await holder.commit()
            await waiting
            cursor = await holder.execute("SELECT at FROM bedside_rates WHERE key = %s", (name,))
            assert (await cursor.fetchone())[0] >= released - 1


async def test_old_meters_are_swept_out(postgres, key, monkeypatch) -> None:
    monkeypatch.setattr(postgres_store, "SWEEP_STEPS", 10)
    async with connected(postgres) as tested:
        await tested.take(f"{key}-old", 60_000, None, 0)
        await asyncio.sleep(0.05)
        for _ in range(20):
            await tested.take(key, 20, None, 0)
    with psycopg.connect(postgres.url) as connection:
        found = {row[0] for row in connection.execute("SELECT key FROM bedside_rates")}
    assert postgres_store.stored_name(key) in found
    assert postgres_store.stored_name(f"{key}-old") not in found


async def test_without_a_store_each_process_counts_for_itself() -> None:
    tested = make_limits(LimitsConfig())
    async with tested.running():
        await tested.take("a", 1, None, 0)
        assert (await refused(tested, "a", 1, None, 0)).status == 429
