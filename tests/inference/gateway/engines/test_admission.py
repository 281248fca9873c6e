"""Admission: bounded, fair by weight and between callers, and nothing is ever lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bedside_inference.config import AdmissionConfig, Weights
from bedside_inference.gateway.engines.admission import Admission, engine_priority
from bedside_inference.gateway.errors import ApiError

CLASSES = ("emergency", "ward", "batch")


def admission(**changes) -> Admission:
    plain = {"max_running": 4, "max_running_tokens": 1000, "emergency_reserve": 0}
    return Admission(AdmissionConfig(**{**plain, **changes}))


def assert_empty(tested: Admission) -> None:
    assert tested.running == tested.running_tokens == tested.queued_tokens == 0
    assert tested.queued == {"emergency": 0, "ward": 0, "batch": 0}
    for group in tested._groups.values():
        assert group.order == [] and group.running == 0
        assert all(not caller.waiting and not caller.running for caller in group.callers.values())


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


class Client:
    """A request in a task of its own, which holds its place until it is told to end."""

    def __init__(self, tested: Admission, principal: str, priority, tokens: int = 10) -> None:
        self.entered, self.end = asyncio.Event(), asyncio.Event()
        self.ticket = tested.enter(principal, priority, tokens)
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self.ticket:
            self.entered.set()
            await self.end.wait()

    @property
    def inside(self) -> bool:
        return self.entered.is_set() and not self.task.done()

    async def finish(self) -> None:
        self.end.set()
        await self.task


async def refused(tested: Admission, principal="x", priority="ward", tokens=10) -> ApiError:
    with pytest.raises(ApiError) as caught:
        async with tested.enter(principal, priority, tokens):
            pytest.fail("was let in")
    return caught.value


async def test_a_place_is_taken_and_given_back() -> None:
    tested = admission()
    async with tested.enter("a", "ward", 100) as ticket:
        assert (tested.running, tested.running_tokens) == (1, 100)
        ticket.correct(70)
        assert (tested.running, tested.running_tokens) == (1, 70)
        assert ticket.queued_seconds == 0
    ticket.correct(1_000_000)  # too late to mean anything
    assert_empty(tested)


async def test_an_error_inside_gives_the_place_back() -> None:
    tested = admission()
    with pytest.raises(KeyError):
        async with tested.enter("a", "ward", 100):
            raise KeyError
    assert_empty(tested)


async def test_who_waits_gets_the_next_place_and_knows_how_long_it_took() -> None:
    tested = admission(max_running=1)
    first = Client(tested, "a", "ward")
    second = Client(tested, "b", "ward")
    await asyncio.sleep(0.02)
    assert first.inside and not second.inside
    assert tested.queued["ward"] == 1 and tested.queued_tokens == 10
    await first.finish()
    await settle()
    assert second.inside
    assert 0.01 <= second.ticket.queued_seconds < 60  # the loop's clock is in milliseconds
    await second.finish()
    assert_empty(tested)


async def test_tokens_bound_it_too_and_the_big_one_is_not_overtaken() -> None:
    tested = admission(max_running_tokens=100)
    running = Client(tested, "a", "ward", 60)
    big = Client(tested, "b", "ward", 90)
    small = Client(tested, "c", "ward", 10)
    await settle()
    assert not big.inside and not small.inside
    await running.finish()
    await settle()
    assert big.inside and small.inside and tested.running_tokens == 100
    await big.finish()
    await small.finish()


async def test_a_true_number_below_the_estimate_lets_the_next_in() -> None:
    tested = admission(max_running_tokens=100)
    async with tested.enter("a", "ward", 100) as ticket:
        waiting = Client(tested, "b", "ward", 50)
        await settle()
        assert not waiting.inside
        ticket.correct(50)
        await settle()
        assert waiting.inside
        ticket.correct(500)
        await waiting.finish()
    assert_empty(tested)


async def test_a_request_that_never_fits_is_refused_for_good() -> None:
    tested = admission(max_running_tokens=1000, emergency_reserve=1)
    assert (await refused(tested, tokens=751)).code == "too_many_tokens"
    error = await refused(tested, priority="emergency", tokens=1001)
    assert (error.status, error.headers) == (400, None)
    async with tested.enter("a", "ward", 750), tested.enter("a", "emergency", 250):
        assert tested.running_tokens == 1000
    async with tested.enter("a", "emergency", 1000):
        assert tested.running_tokens == 1000
    assert_empty(tested)


async def test_the_queue_ends_somewhere() -> None:
    tested = admission(max_running=1, max_queued=8, max_queued_tokens=1000)
    clients = [Client(tested, f"c{i}", "emergency") for i in range(9)]
    await settle()
    error = await refused(tested, priority="emergency")
    assert (error.status, error.code) == (503, "overloaded")
    assert 1 <= int(error.headers["Retry-After"]) <= 60
    for client in clients:
        await client.finish()
    assert_empty(tested)


async def test_queued_tokens_are_bounded_too() -> None:
    tested = admission(max_running=1, max_queued_tokens=30)
    running = Client(tested, "a", "ward")
    clients = [Client(tested, f"c{i}", "emergency") for i in range(3)]
    await settle()
    assert tested.queued_tokens == 30
    assert (await refused(tested, priority="emergency")).code == "overloaded"
    for client in [running, *clients]:
        await client.finish()


async def test_nothing_may_wait_at_all() -> None:
    tested = admission(max_running=1, max_queued=0)
    async with tested.enter("a", "ward", 10):
        assert (await refused(tested)).code == "overloaded"
    assert_empty(tested)


async def test_a_flood_leaves_room_for_other_callers_and_classes() -> None:
    tested = admission(max_running=1, max_queued=100, max_queued_tokens=1 << 20)
    stack = [Client(tested, "runs", "ward")]

    async def flood(principal: str, priority) -> str:
        while True:
            stack.append(Client(tested, principal, priority))
            await settle()
            if stack[-1].task.done():
                error = stack.pop().task.exception()
                assert isinstance(error, ApiError)
                assert "Retry-After" in error.headers
                return f"{error.status} {error.code}"

    assert await flood("greedy", "batch") == "429 caller_queue_full"
    assert tested.queued["batch"] == 50
    # The class has had its part; a second caller of it does not make it more.
    assert await flood("second", "batch") == "429 class_queue_full"
    for number in range(50):
        assert (await flood(f"w{number}", "ward"))[:3] in ("429", "503")
    assert tested.queued["ward"] == 40
    stack.append(Client(tested, "doctor", "emergency"))
    await settle()
    assert tested.queued["emergency"] == 1
    for client in stack:
        client.task.cancel()
    await asyncio.gather(*(client.task for client in stack), return_exceptions=True)
    assert_empty(tested)


async def test_waiting_has_an_end() -> None:
    tested = admission(max_running=1, queue_timeout_seconds=0.02)
    async with tested.enter("a", "ward", 10):
        error = await refused(tested)
    assert (error.status, error.code) == (503, "queue_timeout")
    assert 1 <= int(error.headers["Retry-After"]) <= 60
    assert_empty(tested)


async def test_a_gone_client_frees_its_place_in_the_queue_and_in_the_engine() -> None:
    tested = admission(max_running=1)
    running, waiting, last = (Client(tested, name, "ward") for name in "abc")
    await settle()
    waiting.task.cancel()
    await settle()
    assert tested.queued["ward"] == 1
    running.task.cancel()
    await settle()
    assert last.inside
    await last.finish()
    assert_empty(tested)


async def test_the_big_one_leaves_and_those_behind_it_move_up() -> None:
    tested = admission(max_running_tokens=100)
    running, big, small = (
        Client(tested, name, "ward", tokens) for name, tokens in (("a", 60), ("b", 90), ("c", 10))
    )
    await settle()
    big.task.cancel()
    await settle()
    assert small.inside
    await small.finish()
    await running.finish()


async def test_cancelled_in_the_same_moment_as_let_in() -> None:
    tested = admission(max_running=1)
    running, waiting, last = (Client(tested, name, "ward") for name in "abc")
    await settle()
    running.end.set()
    await asyncio.sleep(0)  # its task has left, and has let the next one in
    waiting.task.cancel()
    await settle()
    assert waiting.task.cancelled() and last.inside
    last.end.set()
    waiting_again = Client(tested, "d", "ward")
    waiting_again.task.cancel()
    await settle()
    assert_empty(tested)


async def test_emergencies_do_not_wait_for_a_full_engine_of_batch() -> None:
    tested = admission(max_running=6, emergency_reserve=2, max_running_tokens=600)
    batch = [Client(tested, f"b{i}", "batch", 50) for i in range(10)]
    await settle()
    assert tested.running == 4
    calls = [Client(tested, "doctor", "emergency", 50) for _ in range(3)]
    await settle()
    assert [call.inside for call in calls] == [True, True, False]
    assert tested.running == 6
    # Beyond the reserve the weights decide: the next place is the emergency's.
    await batch[0].finish()
    await settle()
    assert calls[2].inside and tested.running == 6
    for client in [*calls, *batch[1:]]:
        client.end.set()
    await settle()
    await asyncio.gather(*(client.task for client in [*calls, *batch]))
    assert_empty(tested)


async def test_the_reserve_stays_free_of_others_even_when_emergencies_overflow_it() -> None:
    tested = admission(max_running=4, emergency_reserve=2, max_running_tokens=400)
    calls = [Client(tested, "doctor", "emergency", 10) for _ in range(4)]
    ward = Client(tested, "w", "ward", 10)
    await settle()
    assert all(call.inside for call in calls) and not ward.inside
    await calls[0].finish()
    await settle()
    assert ward.inside and tested.running == 4
    for client in [*calls[1:], ward]:
        await client.finish()
    assert_empty(tested)


async def simulate(tested: Admission, traffic, seconds: float) -> Counter:
    """True tokens per (class, caller) of closed loops; service takes as long as the answer."""
    got: Counter = Counter()
    generator = random.Random(7)
    time = 0.0
    ends: list[tuple[float, int, Client, int, str, str]] = []
    number = 0

    def launch(principal: str, priority: str) -> None:
        nonlocal number
        estimate = generator.randint(50, 400)
        client = Client(tested, principal, priority, estimate)
        # Batch asks for much and takes little, the others the reverse.
        true = max(1, int(estimate * (0.1 if priority == "batch" else generator.uniform(0.5, 1))))
        pending.append((client, true, principal, priority))

    pending: list = []
    for principal, priority, parallel in traffic:
        for _ in range(parallel):
            launch(principal, priority)
    while time < seconds:
        await settle()
        for item in [item for item in pending if item[0].inside]:
            pending.remove(item)
            client, true, principal, priority = item
            number += 1
            ends.append((time + true, number, client, true, principal, priority))
        assert tested.running == len(ends) <= tested.config.max_running
        ends.sort()
        time, _, client, true, principal, priority = ends.pop(0)
        client.ticket.correct(true)
        await client.finish()
        if time > seconds / 10:
            got[priority, principal] += true
        launch(principal, priority)
    tasks = [entry[0].task for entry in pending] + [entry[2].task for entry in ends]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert_empty(tested)
    return got


async def test_shares_follow_the_weights_in_true_tokens() -> None:
    tested = admission(
        max_running=8,
        max_running_tokens=1 << 20,
        max_queued=1000,
        weights=Weights(emergency=4, ward=2, batch=1),
    )
    got = await simulate(tested, [(f"{c}-{i}", c, 4) for c in CLASSES for i in range(8)], 60_000)
    total = sum(got.values())
    for name, share in (("emergency", 4 / 7), ("ward", 2 / 7), ("batch", 1 / 7)):
        found = sum(n for (priority, _), n in got.items() if priority == name)
        assert found / total == pytest.approx(share, rel=0.04)
        each = [n for (priority, _), n in got.items() if priority == name]
        assert len(each) == 8
        assert max(each) / min(each) < 1.25


async def test_a_caller_with_a_thousand_requests_does_not_delay_another() -> None:
    tested = admission(max_running=2, max_queued=4000, max_queued_tokens=1 << 20)
    flood = [Client(tested, "flood", "ward") for _ in range(1000)]
    other = [Client(tested, "other", "ward") for _ in range(3)]
    await settle()
    ended = 0
    for client in flood:
        await client.finish()
        ended += 1
        await settle()
        if all(client.inside or client.task.done() for client in other):
            break
        for client in other:
            client.end.set()
    assert ended <= 4
    for client in [*flood, *other]:
        client.task.cancel()
    await asyncio.gather(*(c.task for c in [*flood, *other]), return_exceptions=True)
    assert_empty(tested)


async def test_each_caller_is_served_in_its_own_order() -> None:
    tested = admission(max_running=1)
    order: list[int] = []

    async def ask(number: int) -> None:
        async with tested.enter("a", "ward", random.Random(number).randint(1, 99)):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(ask(number) for number in range(40)))
    assert order == list(range(40))


async def test_an_idle_class_saves_nothing_up() -> None:
    tested = admission(max_running=1, weights=Weights(emergency=1, ward=1, batch=1))
    for _ in range(100):
        async with tested.enter("w", "ward", 100):
            pass
    got: list[str] = []

    async def ask(priority) -> None:
        async with tested.enter(priority, priority, 100):
            got.append(priority)
            await asyncio.sleep(0)

    await asyncio.gather(*(ask(p) for p in ["ward"] * 20 + ["batch"] * 20))
    assert abs(got[:20].count("ward") - 10) <= 1


async def test_batch_is_not_starved_and_a_wrong_estimate_leaves_no_trace() -> None:
    tested = admission(
        max_running=8, max_running_tokens=1 << 20, max_queued=1000, max_queued_tokens=1 << 24
    )
    # A ward burst with wild estimates fills the engine before batch arrives.
    burst = [Client(tested, "w", "ward", 50_000) for _ in range(60)]
    await settle()
    batch = Client(tested, "b", "batch", 100)
    await settle()
    for client in burst[:2]:
        client.ticket.correct(50)
        await client.finish()
        await settle()
    assert batch.inside
    for client in [*burst, batch]:
        client.end.set()
    await asyncio.gather(*(client.task for client in [*burst, batch]))
    assert_empty(tested)


async def test_a_high_limit_is_charged_as_what_the_caller_usually_has() -> None:
    tested = admission(max_running=4, max_running_tokens=1 << 20)
    for caller, limit in (("high", 100_000), ("low", 20)):
        for _ in range(3):
            async with tested.enter(caller, "ward", limit) as ticket:
                ticket.correct(20)
    blocks = [Client(tested, "blocks", "ward", 1) for _ in range(4)]
    clients = [Client(tested, name, "ward", n) for n in (100_000, 20) for name in ("high", "low")]
    await settle()
    for block in blocks:
        await block.finish()
    await settle()
    assert all(client.inside for client in clients)
    callers = tested._groups["ward"].callers
    assert callers["high"].running == callers["low"].running == 40
    assert tested.running_tokens == 200_040  # what the engine may have to hold is another matter
    for client in clients:
        await client.finish()
    assert_empty(tested)


async def test_retry_after_follows_the_rate_at_which_places_come_free() -> None:
    time = [0.0]
    config = AdmissionConfig(
        max_running=1, emergency_reserve=0, max_queued=4, queue_timeout_seconds=999
    )
    tested = Admission(config, clock=lambda: time[0])
    stack = [Client(tested, f"c{i}", "emergency") for i in range(5)]
    await settle()
    for number in range(60):  # a place every two seconds, always four waiting
        time[0] += 2
        await stack.pop(0).finish()
        await settle()
        stack.append(Client(tested, f"d{number}", "emergency"))
        await settle()
    seconds = {int((await refused(tested, "z")).headers["Retry-After"]) for _ in range(50)}
    assert seconds <= {10, 11, 12, 13} and len(seconds) > 1
    time[0] += 3600  # nothing came free for an hour
    assert (await refused(tested, "z")).headers["Retry-After"] == "60"
    for client in stack:
        client.end.set()
    await asyncio.gather(*(client.task for client in stack))
    assert_empty(tested)


async def test_callers_are_forgotten() -> None:
    tested = admission()
    for number in range(5000):
        async with tested.enter(f"c{number}", "ward", 10):
            pass
    assert len(tested._groups["ward"].callers) <= 200


async def test_a_ticket_is_for_one_request() -> None:
    tested = admission()
    ticket = tested.enter("a", "ward", 1)
    async with ticket:
        with pytest.raises(RuntimeError):
            await ticket.__aenter__()
    with pytest.raises(RuntimeError):
        await ticket.__aenter__()
    assert_empty(tested)


@pytest.mark.parametrize("seed", range(4))
async def test_a_storm_of_cancellations_loses_nothing(seed) -> None:
    generator = random.Random(seed)
    tested = admission(
        max_running=8,
        max_running_tokens=800,
        emergency_reserve=2,
        max_queued=40,
        max_queued_tokens=3000,
        queue_timeout_seconds=0.005,
    )
    outcomes: Counter = Counter()

    def check() -> None:
        others = tested._others
        assert others.places <= 6 and others.tokens <= 600
        assert tested.running <= 8 and tested.running_tokens <= 800
        assert sum(tested.queued.values()) <= 40 and tested.queued_tokens <= 3000

    async def client() -> None:
        name, priority = f"c{generator.randint(0, 9)}", generator.choice(CLASSES)
        try:
            async with tested.enter(name, priority, generator.randint(1, 700)) as ticket:
                check()
                for _ in range(generator.randint(0, 3)):
                    await asyncio.sleep(generator.choice([0, 0, 0.0005]))
                    ticket.correct(generator.randint(0, ticket.tokens))
                    check()
                outcomes["served"] += 1
        except ApiError as error:
            outcomes[error.code] += 1
        check()

    tasks: list[asyncio.Task] = []
    for _ in range(3000):
        tasks.append(asyncio.create_task(client()))
        if generator.random() < 0.5:
            generator.choice(tasks[-60:]).cancel()
        if generator.random() < 0.3:
            await asyncio.sleep(0)
        check()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    outcomes["cancelled"] = sum(isinstance(end, asyncio.CancelledError) for end in ended)
    assert not [e for e in ended if e and not isinstance(e, asyncio.CancelledError)]
    assert sum(outcomes.values()) == 3000
    for outcome in ("served", "cancelled", "overloaded", "caller_queue_full", "too_many_tokens"):
        assert outcomes[outcome], outcomes
    assert_empty(tested)


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("enter"),
            st.sampled_from("abc"),
            st.sampled_from(CLASSES),
            st.integers(0, 120),
        ),
        st.tuples(st.just("end"), st.integers(0, 30)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("correct"), st.integers(0, 30), st.integers(0, 90)),
        st.tuples(st.just("wait")),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_any_order_of_events_keeps_the_bounds_and_uses_what_is_free(steps) -> None:
    async def play() -> None:
        tested = admission(
            max_running=3,
            max_running_tokens=120,
            emergency_reserve=1,
            max_queued=6,
            max_queued_tokens=300,
        )
        clients: list[Client] = []
        for step in steps:
            match step:
                case ("enter", principal, priority, tokens):
                    clients.append(Client(tested, principal, priority, tokens))
                case ("end", number) if number < len(clients):
                    clients[number].end.set()
                case ("cancel", number) if number < len(clients):
                    clients[number].task.cancel()
                case ("correct", number, tokens) if number < len(clients):
                    if tokens <= clients[number].ticket.tokens:
                        clients[number].ticket.correct(tokens)
                case ("wait",):
                    await settle()
            assert tested.running <= 3 and tested.running_tokens <= 120
            assert tested._others.places <= 2 and tested._others.tokens <= 80
        await settle()
        if sum(tested.queued.values()):  # somebody waits only for want of room
            heads = [g.first() for g in tested._groups.values() if g.queued.places]
            first = min(heads, key=lambda ticket: ticket._group.tag)
            assert not tested._fits(first)
        for client in clients:
            client.end.set()
        await asyncio.gather(*(client.task for client in clients), return_exceptions=True)
        assert all(client.task.done() for client in clients)
        assert_empty(tested)

    asyncio.run(play())


def test_the_engine_takes_emergencies_first() -> None:
    assert sorted(CLASSES, key=engine_priority) == ["emergency", "ward", "batch"]


@pytest.mark.parametrize(
    "wrong", [{"max_running": 4, "emergency_reserve": 4}, {"max_running_tokens": 63}]
)
def test_a_configuration_that_admits_nothing_is_refused(wrong) -> None:
    with pytest.raises(ValidationError):
        AdmissionConfig(**wrong)
