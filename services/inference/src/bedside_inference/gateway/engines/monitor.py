"""Whether an engine gets work done: its HTTP server answers long after its core has stopped.

Looked at are vLLM's `iteration_tokens_total`, which grows with each step of a busy engine, and
after some time without work the answer to a request for one token.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable
from contextlib import closing
from enum import StrEnum

from bedside_core import log
from bedside_inference.background import Recurring
from bedside_inference.config import HealthConfig
from bedside_inference.gateway.engines.call import Broken
from bedside_inference.gateway.engines.client import (
    PAGE_BYTES,
    EngineClient,
    Unconnected,
    Unreached,
)
from bedside_inference.gateway.errors import ApiError
from bedside_inference.served import ServedModel

logger = logging.getLogger(__name__)

STEPS = re.compile(rb"^vllm:iteration_tokens_total_count(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
BUSY = re.compile(rb"^vllm:num_requests_(?:running|waiting)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
PROBE = "Hello"


class Condition(StrEnum):
    """How an engine is."""

    LOADING = "loading"
    READY = "ready"
    STALLED = "stalled"
    DRAINING = "draining"
    """It finishes what it has begun, and ends."""
    WITHDRAWN = "withdrawn"
    """Its model was; stays so until the engine serves another one."""
    FOREIGN = "foreign"
    """It calls its model proved, by a house that this gateway does not pin."""


class Monitor:
    """What is known of one engine; probes it again and again while `watch` runs."""

    def __init__(
        self,
        client: EngineClient,
        config: HealthConfig,
        model_name: str,
        counts: Callable[[ServedModel], bool],
    ) -> None:
        """`counts`: whether what an engine says of its model's proof counts here."""
        self.client, self.config, self._counts = client, config, counts
        self.served: ServedModel | None = None
        self.condition = Condition.LOADING
        self.in_flight = 0
        """Requests of this gateway at the engine."""
        self.on_change: Callable[[], None] = lambda: None
        self.probing = Recurring(logger, "probing an engine failed", "engines can be probed again")
        self._probe = json.dumps(
            {
                "model": model_name,
                "messages": [{"role": "user", "content": PROBE}],
                "max_tokens": 1,
                "temperature": 0,
            }
        ).encode()
        now = time.monotonic()
        self._steps = -1.0
        self._moved = self._worked = self._answered = self._down_since = now
        self._was_down = False
        self._failed = 0
        self._doubted = False
        """A probe has failed since it was fit, so only a token shows that it works."""
        self.load_seconds: float | None = None
        """How long it took the last time from going away, or the first probe, to being back."""

    def progress(self) -> None:
        """Something of an answer has just come from the engine."""
        self._moved = self._worked = self._answered = time.monotonic()

    def remaining_load(self) -> int | None:
        """Seconds until the model is there, by how long it took the last time."""
        if self.load_seconds is None:
            return None
        if self.condition is Condition.DRAINING:
            return max(1, round(self.load_seconds))
        return max(1, round(self.load_seconds - (time.monotonic() - self._down_since)))

    async def watch(self) -> None:
        """Probe for ever, but for the times when answers show what a probe would."""
        probed = time.monotonic()
        while True:
            if not self._answers_since(probed):
                with self.probing.attempt():
                    await self.probe()
                if self.probing.failing:
                    self._unfit(Condition.STALLED)
            probed = time.monotonic()
            await asyncio.sleep(self.config.interval_seconds)

    def _answers_since(self, moment: float) -> bool:
        return self.condition is Condition.READY and not self._failed and self._answered >= moment

    async def probe(self) -> None:
        """Probe once, and change the condition if enough probes in a row say so."""
        try:
            status, served, _ = await self.client.page("/health")
            if served is not None and served.leaving:
                self._leave(served)
                return
            if status != 200 or served is None:
                self._unfit(Condition.LOADING)
                return
            if not self._counts(served):
                self._become(Condition.FOREIGN, served)
                return
            alive = await self._progressing()
        except Unreached as unreached:
            self.unreached(unreached)
            return
        except (Unconnected, Broken):
            self._unfit(Condition.LOADING)
            return
        except TimeoutError:
            # What has not been ready may be loading, or its machine may be too busy with that.
            was_ready = self.condition in (Condition.READY, Condition.STALLED)
            self._unfit(Condition.STALLED if was_ready else Condition.LOADING)
            return
        if alive:
            self._fit(served)
        else:
            self._unfit(Condition.STALLED)

    async def _progressing(self) -> bool:
        now = time.monotonic()
        _, _, page = await self.client.page("/metrics")
        steps = sum(float(value) for value in STEPS.findall(page))
        busy = self.in_flight > 0 or any(float(value) > 0 for value in BUSY.findall(page))
        if steps != self._steps:
            self._steps = steps
            self._moved = self._worked = now
        if busy:
            self._worked = now
            return now - self._moved < self.config.stall_seconds
        self._moved = now
        idle = now - self._worked >= self.config.idle_probe_seconds
        return await self._one_token() if idle or self._doubted else True

    async def _one_token(self) -> bool:
        try:
            async with asyncio.timeout(self.config.idle_probe_timeout_seconds):
                answering = self.client.ask("/v1/chat/completions", self._probe, "idle-probe")
                with closing((await answering)[0]) as answer:
                    await answer.whole(PAGE_BYTES)
        except (Broken, TimeoutError, Unreached):
            return False
        except ApiError as error:
            # A model without a chat template refuses, which is an answer too.
            if error.status >= 500:
                return False
        self._worked = time.monotonic()
        return True

    def unreached(self, why: Unreached) -> bool:
        """Take in that it did not take a request; whether it is only full."""
        if why.leaving is not None:
            self._leave(why.leaving)
        elif why.gone:
            self.gone()
        else:
            return True
        return False

    def gone(self) -> None:
        """Nobody listens: the engine was ended or has not begun; nothing to wait for."""
        if self.condition is Condition.WITHDRAWN:
            return
        if self.condition is not Condition.LOADING:
            self._down_since = time.monotonic()
        self._was_down = True
        self._failed = 0
        self._become(Condition.LOADING, None)

    def _leave(self, said: ServedModel) -> None:
        self._become(Condition.WITHDRAWN if said.withdrawn else Condition.DRAINING, said)

    def _fit(self, served: ServedModel) -> None:
        if self._was_down:
            self.load_seconds = time.monotonic() - self._down_since
            self._was_down = False
        self._failed, self._doubted = 0, False
        self._become(Condition.READY, served)

    def _unfit(self, condition: Condition) -> None:
        self._failed += 1
        self._doubted = True
        if condition is Condition.LOADING and self.condition is not Condition.READY:
            self.gone()
        elif self._failed >= self.config.failure_threshold:
            if condition is Condition.LOADING:
                self.gone()
            else:
                self._become(condition, self.served)

    def _become(self, condition: Condition, served: ServedModel | None) -> None:
        if (condition, served) == (self.condition, self.served):
            return
        self.condition, self.served = condition, served
        facts = log.fields(
            engine=self.client.address, condition=condition, model=served and served.model
        )
        logger.info("engine", extra=facts)
        self.on_change()
