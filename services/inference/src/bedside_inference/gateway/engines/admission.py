"""Who gets into the engine next: bounded, weighted by class, fair between callers.

Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996) in the form for a server that works
on several requests at a time (Jin, Chase and Kaur, SIGMETRICS 2004), twice: between the classes by
weight, and within a class between its callers alike. What is shared are tokens, not requests. Each
caller's own requests go in order. The queue's places are shared by what is still free of them
(Choudhury and Hahne, "Dynamic queue length thresholds", 1998), so a flood of one caller or class
never takes the last place from the others, and none that waits is ever thrown out for another.

Covered: one gateway process on one event loop. Not covered: several processes share nothing, so
each gets its part of what the engine can hold.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import time
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, NamedTuple

from bedside_inference.config import AdmissionConfig, PriorityClass
from bedside_inference.gateway.errors import (
    RETRY_SECONDS,
    ApiError,
    Refusal,
    caller_queue_full,
    class_queue_full,
    overloaded,
    queue_timeout,
    too_many_tokens,
)

MAX_RETRY_SECONDS = 60
SMOOTHING = 0.1
"""Weight of the newest gap between two freed places in their running mean."""
LEARNING = 0.2
"""Weight of the newest true cost in the running mean of a caller's or class's."""

CALLERS_KEPT = 64
"""Idle callers are looked through for forgetting only beyond so many."""

ENGINE_PRIORITIES: dict[PriorityClass, int] = {"emergency": 0, "ward": 1, "batch": 2}


def engine_priority(priority: PriorityClass) -> int:
    """The field `priority` of a request to vLLM, which takes lower ones first."""
    return ENGINE_PRIORITIES[priority]


class Share(NamedTuple):
    """An amount of what requests need."""

    places: int
    tokens: int


class Flow:
    """One claim among others: a class among classes, or a caller within a class.

    What an answer costs is known only at its end, so a flow has two accounts: what it got, and what
    it is about to get. Its turn comes by their sum. The second is reckoned with what its requests
    usually cost in truth, not with what they may have: whoever names a higher limit than he needs,
    or none, does not wait for that. A wrong estimate leaves no trace once the truth is known.
    """

    __slots__ = ("done", "queued", "running", "usual", "weight")

    def __init__(self, weight: int) -> None:
        self.weight = weight
        self.done = 0.0
        """Tokens of finished requests over the weight, in the virtual time of all its rivals."""
        self.running = 0
        """Tokens that its running requests are charged with."""
        self.usual: float | None = None
        """Tokens that one of its requests cost in the mean, once one is known."""
        self.queued = Share(0, 0)

    @property
    def tag(self) -> float:
        """The virtual time at which its next request may start."""
        return self.done + self.running / self.weight

    def begin(self, virtual: float) -> None:
        """Begin to want something: having been idle earns nothing."""
        self.done = max(self.done, virtual)

    def finish(self, tokens: int) -> None:
        self.running -= tokens
        self.done += tokens / self.weight

    def learn(self, tokens: int) -> None:
        """Take a true cost into the mean."""
        usual = tokens if self.usual is None else self.usual
        self.usual = usual + LEARNING * (tokens - usual)

    def queue(self, places: int, tokens: int) -> None:
        self.queued = Share(self.queued.places + places, self.queued.tokens + tokens)


class Caller(Flow):
    """What one caller waits for."""

    __slots__ = ("place", "waiting")

    def __init__(self) -> None:
        super().__init__(weight=1)
        self.waiting: OrderedDict[Ticket, None] = OrderedDict()
        self.place: tuple[float, int, Caller] | None = None
        """Its entry in the order of its class, while it waits."""


class Group(Flow):
    """The callers of one class."""

    __slots__ = ("callers", "held", "numbers", "order", "virtual")

    def __init__(self, weight: int) -> None:
        super().__init__(weight)
        self.callers: dict[str, Caller] = {}
        self.order: list[tuple[float, int, Caller]] = []
        """Callers that wait, by tag and then by arrival."""
        self.numbers = itertools.count()
        self.virtual = 0.0
        self.held = CALLERS_KEPT

    def caller(self, subject: str) -> Caller:
        found = self.callers.get(subject)
        if found is None:
            if len(self.callers) >= self.held:
                # Whoever got no more than the others is no different from a newcomer, and while
                # nobody waits there is nothing to be fair about.
                self.callers = {
                    known: caller
                    for known, caller in self.callers.items()
                    if caller.running
                    or caller.waiting
                    or (self.order and caller.done > self.virtual)
                }
                self.held = max(CALLERS_KEPT, 2 * len(self.callers))
            found = self.callers[subject] = Caller()
        return found

    def add(self, ticket: Ticket) -> None:
        caller = ticket._caller
        caller.waiting[ticket] = None
        for flow in (self, caller):
            flow.queue(1, ticket.tokens)
        if caller.place is None:
            self.sort(caller)

    def remove(self, ticket: Ticket) -> None:
        caller = ticket._caller
        del caller.waiting[ticket]
        for flow in (self, caller):
            flow.queue(-1, -ticket.tokens)
        if not caller.waiting:
            self.sort(caller)

    def first(self) -> Ticket:
        return next(iter(self.order[0][2].waiting))

    def sort(self, caller: Caller) -> None:
        """Put a caller where its tag belongs, or nowhere if it waits for nothing."""
        if caller.place is not None:
            del self.order[bisect_left(self.order, caller.place)]
            caller.place = None
        if caller.waiting:
            caller.place = (caller.tag, next(self.numbers), caller)
            insort(self.order, caller.place)


class Ticket:
    """One request on its way through; an asynchronous context that holds its place."""

    __slots__ = (
        *("_admission", "_caller", "_charge", "_emergency", "_group", "_subject"),
        *("_state", "_turn", "queued_seconds", "tokens"),
    )

    def __init__(
        self, admission: Admission, subject: str, priority: PriorityClass, tokens: int
    ) -> None:
        self._admission, self._subject = admission, subject
        self._group = admission._groups[priority]
        self._emergency = priority == "emergency"
        self._caller: Caller
        self._state: Literal["new", "queued", "running", "gone"] = "new"
        self._charge: int | None = None
        """What its class and caller are charged while it runs; the reserve is free of charge."""
        self._turn: asyncio.Future[bool] | None = None
        self.tokens = tokens
        """What it takes of the engine's tokens: the most that it may, then what it did."""
        self.queued_seconds = 0.0

    async def __aenter__(self) -> Ticket:
        admission = self._admission
        admission._join(self)
        if self._state == "running":
            return self
        loop, began = asyncio.get_running_loop(), time.monotonic()
        self._turn = loop.create_future()
        expiry = loop.call_later(admission.config.queue_timeout_seconds, admission._expire, self)
        try:
            admitted = await self._turn
        except BaseException:
            admission._leave(self)
            raise
        finally:
            expiry.cancel()
            self.queued_seconds = time.monotonic() - began
        if not admitted:
            raise admission._refusal(queue_timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._admission._leave(self)

    def correct(self, tokens: int) -> None:
        """Replace the estimate by the true number of prompt and answer tokens.

        Without it, the usual cost stays charged.
        """
        self._admission._correct(self, tokens)


class Admission:
    """The places of one engine, and the queue before them."""

    def __init__(
        self, config: AdmissionConfig, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.config, self._clock = config, clock
        self._groups: dict[PriorityClass, Group] = {
            "emergency": Group(config.weights.emergency),
            "ward": Group(config.weights.ward),
            "batch": Group(config.weights.batch),
        }
        reserve = config.emergency_reserve
        self._reserve = Share(reserve, config.max_running_tokens * reserve // config.max_running)
        self._common = Share(
            config.max_running - reserve, config.max_running_tokens - self._reserve.tokens
        )
        self._emergency = self._others = self._queued = Share(0, 0)
        self._virtual = 0.0
        self._gap: float | None = None
        """Mean seconds between two freed places while somebody waits."""
        self._freed = 0.0
        """When the last place was freed, or the queue began."""

    @property
    def running(self) -> int:
        return self._emergency.places + self._others.places

    @property
    def running_tokens(self) -> int:
        return self._emergency.tokens + self._others.tokens

    @property
    def queued(self) -> dict[PriorityClass, int]:
        """Waiting requests per class."""
        return {name: group.queued.places for name, group in self._groups.items()}

    @property
    def queued_tokens(self) -> int:
        return self._queued.tokens

    def enter(self, subject: str, priority: PriorityClass, tokens: int) -> Ticket:
        """A place in the engine for `async with`, after waiting for it if need be.

        Args:
            subject: whoever shares alike with the others of the class.
            priority: the class.
            tokens: the prompt's and the most that the answer may have, estimated.

        Raises:
            ApiError: on entering: 400 it needs more tokens than ever come free, 429 this caller or
                class has its part of the queue, 503 the queue is full or the wait was too long.
        """
        return Ticket(self, subject, priority, max(1, tokens))

    def _join(self, ticket: Ticket) -> None:
        if ticket._state != "new":
            raise RuntimeError("a ticket is for one request")
        most = self.config.max_running_tokens if ticket._emergency else self._common.tokens
        if ticket.tokens > most:
            raise too_many_tokens()
        group = ticket._group
        caller = ticket._caller = group.caller(ticket._subject)
        if not group.queued.places and self._in_reserve(ticket):
            self._admit(ticket, charged=False)
            return
        free = not self._queued.places and self._fits(ticket)
        if not free:
            self._require_room(ticket, caller)
        if not group.queued.places:
            group.begin(self._virtual)
        if not caller.waiting:
            caller.begin(group.virtual)
        if free:
            self._admit(ticket, charged=True)
            return
        if not self._queued.places:
            self._freed = self._clock()
        self._count_queued(ticket, 1)
        ticket._state = "queued"
        group.add(ticket)
        self._dispatch()

    def _admit(self, ticket: Ticket, *, charged: bool) -> None:
        """Let a ticket that waits in no queue any more into the engine."""
        ticket._state = "running"
        self._count_running(ticket, 1, ticket.tokens)
        if charged:
            group, caller = ticket._group, ticket._caller
            usual = caller.usual or group.usual or ticket.tokens
            charge = ticket._charge = max(1, min(ticket.tokens, round(usual)))
            self._virtual = max(self._virtual, group.done)
            group.virtual = max(group.virtual, caller.done)
            group.running += charge
            caller.running += charge
            group.sort(caller)
        if ticket._turn is not None:
            ticket._turn.set_result(True)

    def _dispatch(self) -> None:
        """Let in whoever is next, for as long as that one fits.

        Nobody overtakes the next one because it is big: it would wait for ever.
        """
        emergency = self._groups["emergency"]
        while self._queued.places:
            if emergency.queued.places and self._in_reserve(emergency.first()):
                ticket, charged = emergency.first(), False
            else:
                waiting = (group for group in self._groups.values() if group.queued.places)
                ticket, charged = min(waiting, key=lambda group: group.tag).first(), True
                if not self._fits(ticket):
                    return
            self._unqueue(ticket)
            # A cancelled one has left, its task only did not have its turn yet.
            if ticket._turn is None or not ticket._turn.done():
                self._admit(ticket, charged=charged)

    def _leave(self, ticket: Ticket) -> None:
        if ticket._state == "queued":
            self._unqueue(ticket)
        elif ticket._state == "running":
            ticket._state = "gone"
            self._count_running(ticket, -1, -ticket.tokens)
            if ticket._charge is not None:
                ticket._group.finish(ticket._charge)
                ticket._caller.finish(ticket._charge)
                ticket._group.sort(ticket._caller)
            if self._queued.places:
                now = self._clock()
                gap, self._freed = now - self._freed, now
                self._gap = gap if self._gap is None else self._gap + SMOOTHING * (gap - self._gap)
        self._dispatch()

    def _expire(self, ticket: Ticket) -> None:
        if ticket._state == "queued":
            self._unqueue(ticket)
            if ticket._turn is not None and not ticket._turn.done():
                ticket._turn.set_result(False)
            self._dispatch()

    def _correct(self, ticket: Ticket, tokens: int) -> None:
        if ticket._state != "running":
            return
        group, caller = ticket._group, ticket._caller
        self._count_running(ticket, 0, tokens - ticket.tokens)
        ticket.tokens = tokens
        group.learn(tokens)
        caller.learn(tokens)
        if ticket._charge is not None:
            group.running += tokens - ticket._charge
            caller.running += tokens - ticket._charge
            ticket._charge = tokens
            group.sort(caller)
        self._dispatch()

    def _unqueue(self, ticket: Ticket) -> None:
        ticket._state = "gone"
        ticket._group.remove(ticket)
        self._count_queued(ticket, -1)

    def _count_queued(self, ticket: Ticket, sign: Literal[1, -1]) -> None:
        queued = self._queued
        self._queued = Share(queued.places + sign, queued.tokens + sign * ticket.tokens)

    def _count_running(self, ticket: Ticket, places: int, tokens: int) -> None:
        if ticket._emergency:
            used = self._emergency
            self._emergency = Share(used.places + places, used.tokens + tokens)
        else:
            used = self._others
            self._others = Share(used.places + places, used.tokens + tokens)

    def _in_reserve(self, ticket: Ticket) -> bool:
        """Whether what only emergencies may use has room for it."""
        used, reserve = self._emergency, self._reserve
        return (
            ticket._emergency
            and used.places < reserve.places
            and used.tokens + ticket.tokens <= reserve.tokens
        )

    def _fits(self, ticket: Ticket) -> bool:
        """Whether what all may use has room for it; emergencies use their reserve first."""
        places, tokens = self._emergency
        if ticket._emergency:
            places, tokens = places + 1, tokens + ticket.tokens
            used = self._others
        else:
            used = Share(self._others.places + 1, self._others.tokens + ticket.tokens)
        return (
            used.places + max(0, places - self._reserve.places) <= self._common.places
            and used.tokens + max(0, tokens - self._reserve.tokens) <= self._common.tokens
        )

    def _require_room(self, ticket: Ticket, caller: Caller) -> None:
        """Let it into the queue.

        A caller may have as much of the queue as would still be free, its class its weight times
        as much.

        Raises:
            ApiError: 503 the queue is full, 429 the caller or its class has its part of it.
        """
        free = Share(
            self.config.max_queued - self._queued.places,
            self.config.max_queued_tokens - self._queued.tokens,
        )
        if free.places < 1 or free.tokens < ticket.tokens:
            raise self._refusal(overloaded)
        for flow, part, refusal in (
            (caller, 1, caller_queue_full),
            (ticket._group, ticket._group.weight, class_queue_full),
        ):
            if (
                flow.queued.places + 1 > part * free.places
                or flow.queued.tokens + ticket.tokens > part * free.tokens
            ):
                raise self._refusal(refusal)

    def _refusal(self, refusal: Refusal) -> ApiError:
        """An error that says when places will have come free for all who wait, about."""
        seconds: float = RETRY_SECONDS
        if self._gap is not None:
            silent = self._clock() - self._freed if self._queued.places else 0.0
            seconds = max(self._gap, silent) * (self._queued.places + 1)
        # Spread, or all who are refused together come back together.
        spread = seconds * random.uniform(1, 1.25)  # noqa: S311 - nothing secret
        after = min(max(1, math.ceil(spread)), MAX_RETRY_SECONDS)
        return refusal(headers={"Retry-After": str(after)})
