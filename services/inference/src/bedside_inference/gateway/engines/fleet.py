"""The engines behind the gateway, and which of them answers a request.

The name that clients know is an alias. Without a switch it means what the engines serve; after
`bedside inference models switch` it means one manifest digest, wherever an engine serves that, with
a share of the callers on another for a trial. A stopped model answers nobody.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

from bedside_core.errors import ArtifactError
from bedside_core.files import write_atomic
from bedside_core.registry.pin import Pin
from bedside_inference.config import InferenceConfig
from bedside_inference.gateway.engines.call import Broken, Call
from bedside_inference.gateway.engines.client import EngineClient, Unreached
from bedside_inference.gateway.engines.monitor import Condition, Monitor
from bedside_inference.gateway.errors import (
    ApiError,
    Refusal,
    engine_busy,
    engine_draining,
    engine_failed,
    model_foreign,
    model_loading,
    model_stalled,
    model_stopped,
    model_withdrawn,
)
from bedside_inference.paths import socket_path
from bedside_inference.served import ServedModel
from bedside_inference.state.records import Alias


class Fleet:
    """All engines of one gateway process."""

    def __init__(self, config: InferenceConfig, home: Path) -> None:
        """Find out where the engines are.

        Raises:
            ConfigError: a socket's path is too long, the token for a network is missing, or the
                pin is none.
        """
        self._pin = Pin.from_environment(home)
        only = config.engine.url or str(socket_path(config, home))
        connect = config.gateway.timeouts.connect
        self.engines = [
            Monitor(
                EngineClient(address, connect),
                config.gateway.health,
                config.model_name,
                self._counts,
            )
            for address in config.gateway.engines or (only,)
        ]
        self._loads = home / "gateway" / "loads.json"
        self._recall()
        self._turn = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch the engines while the gateway runs."""
        for engine in self.engines:
            engine.on_change = self._remember
        await asyncio.gather(*(engine.probe() for engine in self.engines))
        watches = [asyncio.create_task(engine.watch()) for engine in self.engines]
        try:
            yield
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.wait(watches)

    def target(self, alias: Alias, subject: str) -> str | None:
        """The digest that answers this caller; none means any.

        A caller stays on the same side of a trial, so that a conversation does.
        """
        if alias.canary is not None:
            drawn = hashlib.sha256(f"{alias.canary}\0{subject}".encode()).digest()
            if int.from_bytes(drawn[:8]) < alias.canary_share * 2**64 and self._ready(alias.canary):
                return alias.canary
        return alias.primary

    def served(self, digest: str | None, stopped: frozenset[str]) -> ServedModel:
        """What would answer now.

        Raises:
            ApiError: 503, nothing would.
        """
        found = [e.served for e in self._allowed(digest, stopped) if e.served]
        # Of several windows the widest: what is too long for one engine another takes.
        return max(found, key=lambda served: served.max_model_len or 0)

    def choose(
        self,
        digest: str | None,
        stopped: frozenset[str],
        unfit: Callable[[ServedModel], ApiError | None],
    ) -> list[Monitor]:
        """The engines of one model that may answer, first the one with the least to do.

        Args:
            digest: the model; none means any.
            stopped: models that may not answer.
            unfit: why an engine that serves so could not answer, if it could not.

        Raises:
            ApiError: 503, the model is stopped, withdrawn, stalled or loading, or its engine ends;
                400, none of the engines that may answer could.
        """
        able, refusal = [], None
        for engine in self._allowed(digest, stopped):
            found = unfit(engine.served) if engine.served else None
            if found is None:
                able.append(engine)
            refusal = found or refusal
        if refusal is not None and not able:
            raise refusal
        turn = self._turn % len(able)
        first = min(able[turn:] + able[:turn], key=lambda engine: engine.in_flight)
        return [first, *(e for e in able if e is not first and e.served == first.served)]

    def _allowed(self, digest: str | None, stopped: frozenset[str]) -> list[Monitor]:
        """Those that are ready with a model that may answer, at least one."""
        ready = self._ready(digest)
        allowed = [e for e in ready if e.served and e.served.model not in stopped]
        if allowed:
            return allowed
        if ready or digest in stopped:
            raise model_stopped()
        raise self._absent()

    @asynccontextmanager
    async def ask(
        self, candidates: list[Monitor], path: str, body: bytes, request_id: str
    ) -> AsyncIterator[tuple[Call, ServedModel, Monitor]]:
        """A successful answer of the first engine that takes the request.

        Tried again only while no engine has begun with it.

        Raises:
            ApiError: none takes it, or the one that took it fails.
        """
        self._turn += 1
        busy = False
        for engine in candidates:
            engine.in_flight += 1
            try:
                try:
                    answer, served = await engine.client.ask(path, body, request_id)
                except Unreached as unreached:
                    busy = busy or engine.unreached(unreached)
                    continue
                with closing(answer):
                    if served != engine.served:
                        # Started anew since the last probe; whether that may answer is not known.
                        engine.gone()
                        raise self._absent()
                    engine.progress()
                    yield answer, served, engine
            except Broken:
                raise engine_failed() from None
            else:
                return
            finally:
                engine.in_flight -= 1
        raise engine_busy() if busy else self._absent()

    def _ready(self, digest: str | None) -> list[Monitor]:
        return [
            engine
            for engine in self.engines
            if engine.condition is Condition.READY
            and engine.served is not None
            and digest in (None, engine.served.model)
        ]

    def _counts(self, served: ServedModel) -> bool:
        """A proof counts under the key that this gateway pins itself; an engine's word is none."""
        try:
            return served.verdict == "UNPROVEN" or served.anchor == (self._pin.read() or "")
        except ArtifactError:
            return False

    def _absent(self) -> ApiError:
        """Why no engine answers now."""
        conditions = {engine.condition for engine in self.engines}
        if Condition.FOREIGN in conditions:
            return model_foreign()
        if Condition.WITHDRAWN in conditions:
            return model_withdrawn()
        if Condition.STALLED in conditions:
            return model_stalled()
        if Condition.DRAINING in conditions:
            return self._later(engine_draining, Condition.DRAINING)
        return self._later(model_loading, Condition.LOADING)

    def _later(self, refusal: Refusal, condition: Condition) -> ApiError:
        waited_for = [engine for engine in self.engines if engine.condition is condition]
        # The longest: one that was stopped on purpose has been due for long.
        known = [s for engine in waited_for if (s := engine.remaining_load()) is not None]
        longest = max(known, default=None)
        if not longest:
            return refusal()
        return refusal(about=f"in about {longest} s", headers={"Retry-After": str(longest)})

    def _remember(self) -> None:
        """Keep for the next start how long loading takes; to lose it costs nothing."""
        known = {e.client.address: e.load_seconds for e in self.engines if e.load_seconds}
        with suppress(ArtifactError, OSError):
            self._loads.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(self._loads, json.dumps(known).encode())

    def _recall(self) -> None:
        with suppress(OSError, ValueError, TypeError, AttributeError):
            for address, seconds in json.loads(self._loads.read_bytes()).items():
                for engine in self.engines:
                    if engine.client.address == address:
                        engine.load_seconds = float(seconds)
