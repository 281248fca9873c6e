"""The model behind the gateway's name: switch, canary, rollback, and the kill switch."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import delete, insert

from bedside_core.console import table
from bedside_core.errors import InputError, PolicyError
from bedside_inference.state import schema
from bedside_inference.state.records import Alias, State
from bedside_inference.state.store import Audit, Change, Store

ENGINES_OWN = "whatever the engine serves"


def switch(store: Store, name: str, digest: str, *, audit: Audit) -> Alias:
    """Let a name stand for a model; a canary ends, and `rollback` undoes it.

    Raises:
        PolicyError: the model is stopped.
        StateUnavailable: the database cannot be used.
    """
    with store.change(audit) as change:
        _refuse_stopped(change.state, digest)
        old = change.state.alias(name)
        previous = old.previous if old.primary == digest else old.primary
        new = Alias(name=name, primary=digest, previous=previous)
        if new != old:
            _replace(change, new)
            change.record("model_switched", name=name, model=digest)
    return new


def canary(store: Store, name: str, digest: str, *, share: float, audit: Audit) -> Alias:
    """Give a model a share of a name's requests; a share of 0 ends it.

    Raises:
        PolicyError: the model is stopped, or the name stands for none yet.
        StateUnavailable: the database cannot be used.
    """
    with store.change(audit) as change:
        old = change.state.alias(name)
        if share:
            _refuse_stopped(change.state, digest)
            if old.primary is None:
                raise PolicyError(
                    "the name stands for whatever the engines serve, the trial included - "
                    "`bedside inference models switch DIGEST` to the present model first"
                )
        new = Alias(
            name=name,
            primary=old.primary,
            previous=old.previous,
            canary=digest if share else None,
            canary_share=share,
        )
        if new != old:
            _replace(change, new)
            change.record("model_canary", name=name, model=digest, share=f"{share:g}")
    return new


def rollback(store: Store, name: str, *, audit: Audit) -> Alias:
    """Go back to the model before the last switch; a canary ends.

    Raises:
        PolicyError: there is none before, or it is stopped.
        StateUnavailable: the database cannot be used.
    """
    with store.change(audit) as change:
        old = change.state.alias(name)
        if old.previous == old.primary:
            raise PolicyError(f"{name} was never switched - there is nothing to go back to")
        if old.previous is not None:
            _refuse_stopped(change.state, old.previous)
        new = Alias(name=name, primary=old.previous, previous=old.primary)
        _replace(change, new)
        change.record("model_rolled_back", name=name, model=new.primary or "engine")
    return new


def stop(store: Store, digest: str, *, audit: Audit) -> None:
    """Let a model answer nobody, under whatever name; one that is stopped stays so.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with store.change(audit) as change:
        if digest not in change.state.stopped:
            row = {"digest": digest, "since": datetime.now(UTC)}
            change.connection.execute(insert(schema.stopped_models).values(row))
            change.record("model_stopped", model=digest)


def resume(store: Store, digest: str, *, audit: Audit) -> None:
    """Let a stopped model answer again.

    Raises:
        InputError: it is not stopped.
        StateUnavailable: the database cannot be used.
    """
    with store.change(audit) as change:
        if digest not in change.state.stopped:
            raise InputError(f"model {digest[:12]} is not stopped - `models list` shows which are")
        stopped = schema.stopped_models
        change.connection.execute(delete(stopped).where(stopped.c.digest == digest))
        change.record("model_resumed", model=digest)


def _refuse_stopped(state: State, digest: str) -> None:
    if digest in state.stopped:
        raise PolicyError(
            f"model {digest[:12]} is stopped - `bedside inference models resume` comes first"
        )


def _replace(change: Change, alias: Alias) -> None:
    models = schema.models
    change.connection.execute(delete(models).where(models.c.name == alias.name))
    change.connection.execute(insert(models).values(alias.model_dump()))


def listing(state: State, name: str) -> str:
    """A table of what a name stands for, on trial and stopped."""
    alias = state.alias(name)
    share = f"{alias.canary_share:g}"
    rows = [["primary", alias.primary or ENGINES_OWN]]
    if alias.previous != alias.primary:
        rows.append(["previous", alias.previous or ENGINES_OWN])
    if alias.canary is not None:
        rows.append([f"canary, share {share}", alias.canary])
    rows += [["stopped", digest] for digest in sorted(state.stopped)]
    return table([[name, "model"], *rows])
