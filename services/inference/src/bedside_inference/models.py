"""The verbs on models: they look at what engines serve, change, and look again.

Tested in tests/inference/test_aliases.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bedside_core.console import table
from bedside_core.errors import BedsideError, InputError, PolicyError
from bedside_core.registry.registry import Registry
from bedside_inference import aliases, reported
from bedside_inference.config import InferenceConfig
from bedside_inference.served import ServedModel
from bedside_inference.state.records import Alias, State
from bedside_inference.state.store import Audit, Store

CURRENT = "current"
DIGEST_CHARS = 64
MIN_PREFIX = 8
SHOWN = 12
_DIGEST = re.compile(r"[0-9a-f]{8,64}")
MODEL_KINDS = frozenset({"base", "checkpoint", "merged"})


class UnservedError(BedsideError):
    """A model was stopped, and no engine that answered here serves it: perhaps it is another."""

    exit_code = 6


class Desk:
    """What is there when a verb begins, and what it does about it."""

    def __init__(
        self, config: InferenceConfig, registry: Registry, store: Store, audit: Audit
    ) -> None:
        """Ask nobody yet: a kill switch that is given a whole digest waits for nothing.

        Raises:
            ConfigError: the engine's socket has too long a path.
        """
        self.config, self.registry, self.store, self.audit = config, registry, store, audit
        self.name = config.model_name
        self.places = reported.places(config, registry.home)
        self._engines: list[reported.EngineReport] | None = None

    @property
    def engines(self) -> list[reported.EngineReport]:
        """What they said when they were asked first."""
        if self._engines is None:
            self._engines = reported.engines(self.places.engines)
        return self._engines

    @property
    def served(self) -> frozenset[str]:
        """The digests that answer."""
        return frozenset(d for engine in self.engines if (d := engine.answers_with) is not None)

    def switch(self, given: str, *, force: bool) -> None:
        """Let the name stand for a model.

        Raises:
            InputError: no model is meant, or several may be.
            PolicyError: the model is stopped, or no engine serves it.
        """
        digest = self.find(given)
        self._require(digest, force=force)
        aliases.switch(self.store, self.name, digest, audit=self.audit)

    def canary(self, given: str, *, share: float, force: bool) -> None:
        """Give a model a share of the name's callers; 0 ends it.

        Raises:
            InputError: no model is meant, or several may be.
            PolicyError: the model is stopped, no engine serves it, or the name stands for none.
        """
        digest = self.find(given)
        if share:
            self._require(digest, force=force)
        aliases.canary(self.store, self.name, digest, share=share, audit=self.audit)

    def rollback(self, *, force: bool) -> None:
        """Go back to the model before the last switch.

        Raises:
            PolicyError: there is none before, it is stopped, or no engine serves it.
        """
        alias = self.store.snapshot().alias(self.name)
        if alias.previous is not None and alias.previous != alias.primary:
            self._require(alias.previous, force=force)
        aliases.rollback(self.store, self.name, audit=self.audit)

    def stop(self, given: str) -> str:
        """Let a model answer nobody; returns its digest.

        Raises:
            InputError: no model is meant, or several may be.
        """
        digest = self.find(given)
        aliases.stop(self.store, digest, audit=self.audit)
        return digest

    def require_stopped_something(self, digest: str) -> None:
        """After a stop: tell it loudly if no engine serves that model.

        Raises:
            UnservedError: none does.
        """
        if digest not in self.served:
            raise UnservedError(
                f"{digest[:SHOWN]} is stopped from now on, but no engine serves it now; "
                f"{self._serving()} - was another one meant? `bedside inference models list`"
            )

    def resume(self, given: str) -> None:
        """Let a stopped model answer again.

        Raises:
            InputError: no model is meant, or several may be, or it is not stopped.
        """
        aliases.resume(self.store, self.find(given), audit=self.audit)

    def find(self, given: str) -> str:
        """The digest of a model: of the name's, of a whole digest, or of one's beginning.

        What engines serve and what is in use comes before what the registry has: neither a gateway
        in its container nor a kill switch needs that.

        Raises:
            InputError: no model is meant, or several may be.
            ArtifactError: only the registry could tell, and it cannot be read.
        """
        if given in (CURRENT, self.name):
            return self._current()
        if not _DIGEST.fullmatch(given):
            raise InputError(
                f"{given!r} is no model: name {self.name} or {CURRENT}, or a digest of "
                f"{DIGEST_CHARS} characters of 0-9a-f or at least its first {MIN_PREFIX} - "
                "`bedside inference models list` shows them"
            )
        if len(given) == DIGEST_CHARS:
            return given
        in_use = _in_use(self.store.snapshot())
        near = {digest for digest in self._said() | in_use if digest.startswith(given)}
        return _only(given, near or self._of_registry(given))

    def report(self, changed: State | None) -> str:
        """What the name stands for, what each engine serves, and what the gateway answers with.

        Args:
            changed: the state after a change, which the gateway is given the time to apply.
        """
        state = changed or self.store.snapshot()
        if changed is None:
            said = reported.gateway(self.places.gateway)
        else:
            wanted = state.alias(self.name).primary
            poll = self.config.state.poll_seconds
            said = reported.applied(self.places.gateway, wanted, state.stopped, poll)
        parts = (
            aliases.listing(state, self.name),
            _table(self.engines, state),
            self._answers(said),
        )
        return "\n\n".join(parts)

    def _current(self) -> str:
        alias = self.store.snapshot().alias(self.name)
        if alias.primary is not None:
            return alias.primary
        if not self.served:
            raise InputError(f"no engine answers, so {self.name} stands for no model now")
        return _only(f"{self.name} (whatever the engines serve)", self.served)

    def _said(self) -> set[str]:
        return {engine.served.model for engine in self.engines if engine.served is not None}

    def _of_registry(self, given: str) -> set[str]:
        known = {promotion.model for promotion in self.registry.promotions()}
        found = self.registry.scan()[0]
        known |= {artifact.digest for artifact in found if artifact.kind in MODEL_KINDS}
        return {digest for digest in known if digest.startswith(given)}

    def _require(self, digest: str, *, force: bool) -> None:
        if not force and digest not in self.served:
            raise PolicyError(
                f"no engine serves model {digest[:SHOWN]} now, so {self.name} would answer "
                f"nobody; {self._serving()} - start an engine with it first, or say --force"
            )

    def _serving(self) -> str:
        if not self.served:
            return f"no engine answers ({', '.join(self.places.engines)})"
        return "serving: " + ", ".join(sorted(digest[:SHOWN] for digest in self.served))

    def _answers(self, said: reported.GatewayReport | None) -> str:
        if said is None:
            return (
                f"no gateway answers at {self.places.gateway}; what stands here holds once it does"
            )
        if said.model is None:
            return f"{self.name} answers nobody now: {said.words}"
        return f"{self.name} answers now with {said.model[:SHOWN]} ({said.words})"


def _verdict(served: ServedModel) -> str:
    return f"{served.verdict} (demo)" if served.scope == "demo" else served.verdict


def _only(given: str, fitting: Iterable[str]) -> str:
    found = sorted(fitting)
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(
            f"no model here begins with {given} - give the whole digest, or see "
            "`bedside inference models list`"
        )
    raise InputError(f"{given}: several models fit - which of {', '.join(found)}?")


def _in_use(state: State) -> set[str]:
    def named(alias: Alias) -> set[str]:
        return {d for d in (alias.primary, alias.previous, alias.canary) if d is not None}

    return set().union(*map(named, state.aliases.values())) | state.stopped


def _table(engines: list[reported.EngineReport], state: State) -> str:
    rows = [["engine", "condition", "model", "verdict", "run"]]
    for engine in engines:
        served = engine.served
        stopped = served is not None and served.model in state.stopped
        rows.append(
            [
                engine.address,
                "stopped" if stopped else engine.condition,
                served.model[:SHOWN] if served else "-",
                _verdict(served) if served else "-",
                (served.run if served else None) or "-",
            ]
        )
    return table(rows)
