"""What operators do: `bedside inference keys`, `models` and `audit`, each verb on record.

Options are told here, so nothing heavy is imported before a verb runs.

Tested in tests/inference/test_keys.py, tests/inference/test_aliases.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bedside_core import log
from bedside_core.commands import Command, Group
from bedside_core.config import Config
from bedside_core.console import say
from bedside_core.errors import ConfigError
from bedside_core.messages import did_you_mean
from bedside_core.run import Run
from bedside_inference.config import MAX_KEY_DAYS, InferenceConfig
from bedside_inference.state.records import Scope

if TYPE_CHECKING:
    from bedside_inference.state.store import Audit, Store

logger = logging.getLogger(__name__)


class NewKeyOptions(Scope):
    """What a new key allows, and for how long."""

    days: Annotated[int, Field(ge=1, le=MAX_KEY_DAYS)] | None = None
    """How long it is valid; by default `inference.state.key_days`."""

    @property
    def scope(self) -> Scope:
        """What the key allows."""
        return Scope(**self.model_dump(exclude={"days"}))


class RotationOptions(Config):
    """How a key is followed by another."""

    overlap_hours: Annotated[float, Field(ge=0, le=24 * 31)] = 24
    """How long the old key stays valid beside the new one."""


class CanaryOptions(Config):
    """How much of a name's work a model on trial gets."""

    share: Annotated[float, Field(ge=0, le=1)]
    """Part of the requests that go to it; 0 ends the trial."""


@contextmanager
def _state(config: InferenceConfig, run: Run) -> Iterator[tuple[Store, Audit]]:
    from bedside_inference.audit.journal import audited
    from bedside_inference.state.store import Store

    with closing(Store.open(config.state, run.registry.home)) as store:
        yield store, audited(config.audit, run.registry.home)


def create_key(config: InferenceConfig, run: Run, options: NewKeyOptions) -> None:
    """Make a key and print it, only this once.

    Raises:
        ConfigError: the key would be for a model that nobody can ask here.
        ArtifactError: the state database cannot be used.
    """
    from bedside_inference.keys import create, show

    with _state(config, run) as (store, audit):
        known = {config.model_name, *store.snapshot().aliases}
        unknown = next((name for name in options.models or () if name not in known), None)
        if unknown is not None:
            raise ConfigError(
                f"--models: {unknown!r} is no model of this house - {did_you_mean(unknown, known)}"
            )
        days = options.days or config.state.key_days
        show(create(store, options.scope, days=days, audit=audit))


def list_keys(config: InferenceConfig, run: Run) -> None:
    """Print what keys there are, never a key itself."""
    from bedside_inference.keys import listing

    with _state(config, run) as (store, _):
        say(listing(store))


def rotate_key(config: InferenceConfig, run: Run, key: str, options: RotationOptions) -> None:
    """Make a key of the same scope and print it; the old one ends after the overlap."""
    from bedside_inference.keys import rotate, show

    with _state(config, run) as (store, audit):
        show(rotate(store, key, overlap=timedelta(hours=options.overlap_hours), audit=audit))


def revoke_key(config: InferenceConfig, run: Run, key: str) -> None:
    """End a key now."""
    from bedside_inference.keys import revoke

    with _state(config, run) as (store, audit):
        revoke(store, key, audit=audit)
    logger.info("key revoked", extra=log.fields(key=key))


@contextmanager
def _models(config: InferenceConfig, run: Run) -> Iterator[tuple[Store, Audit]]:
    """The state, and at the end what the name stands for then."""
    from bedside_inference.aliases import listing

    with _state(config, run) as (store, audit):
        before = store.revision()
        yield store, audit
        if store.revision() != before:
            fields = log.fields(action=run.verb, name=config.model_name)
            logger.info("models changed", extra=fields)
        say(listing(store.snapshot(), config.model_name))


def list_models(config: InferenceConfig, run: Run) -> None:
    """Print what the name stands for, what is on trial and what is stopped."""
    with _models(config, run):
        pass


def switch_model(config: InferenceConfig, run: Run, digest: str) -> None:
    """Let the name stand for a model."""
    from bedside_inference.aliases import switch, whole_digest

    with _models(config, run) as (store, audit):
        model = whole_digest(store, run.registry, digest)
        switch(store, config.model_name, model, audit=audit)


def try_model(config: InferenceConfig, run: Run, digest: str, options: CanaryOptions) -> None:
    """Give a model a share of the name's requests."""
    from bedside_inference.aliases import canary, whole_digest

    with _models(config, run) as (store, audit):
        model = whole_digest(store, run.registry, digest)
        canary(store, config.model_name, model, share=options.share, audit=audit)


def roll_back_model(config: InferenceConfig, run: Run) -> None:
    """Go back to the model before the last switch."""
    from bedside_inference.aliases import rollback

    with _models(config, run) as (store, audit):
        rollback(store, config.model_name, audit=audit)


def stop_model(config: InferenceConfig, run: Run, digest: str) -> None:
    """Let a model answer nobody."""
    from bedside_inference.aliases import stop, whole_digest

    with _models(config, run) as (store, audit):
        stop(store, whole_digest(store, run.registry, digest), audit=audit)


def resume_model(config: InferenceConfig, run: Run, digest: str) -> None:
    """Let a stopped model answer again."""
    from bedside_inference.aliases import resume, whole_digest

    with _models(config, run) as (store, audit):
        resume(store, whole_digest(store, run.registry, digest), audit=audit)


def verify_audit(config: InferenceConfig, run: Run, file: str | None) -> None:
    """Check the chain, and that it holds a checkpoint that was kept elsewhere."""
    from bedside_inference.audit.manage import check

    check(config, run.registry.home, None if file is None else Path(file))


def export_fhir(config: InferenceConfig, run: Run) -> None:
    """Print the log as FHIR AuditEvents."""
    from bedside_inference.audit.manage import export_fhir

    export_fhir(config, run.registry.home)


def export_syslog(config: InferenceConfig, run: Run) -> None:
    """Send what is new to the house's SIEM."""
    from bedside_inference.audit.manage import export_syslog

    export_syslog(config, run.registry.home)


def shorten_audit(config: InferenceConfig, run: Run) -> None:
    """Delete what is older than the retention allows."""
    from bedside_inference.audit.manage import shorten

    shorten(config, run.registry.home)


def reidentify(config: InferenceConfig, run: Run, pseudonym: str) -> None:
    """Ask for the person behind a pseudonym; two must ask."""
    from bedside_inference.audit.manage import open_pseudonym
    from bedside_inference.keys import reidentifier

    find = reidentifier(config.state, run.registry.home)
    open_pseudonym(config, run.registry.home, pseudonym, find)


KEYS = Group(
    "keys",
    "API keys: create, list, rotate, revoke",
    (
        Command(
            "create",
            "make a key and print it, only this once",
            create_key,
            InferenceConfig,
            arguments=NewKeyOptions,
            examples=(
                "--department cardiology --days 90 --requests-per-minute 60",
                "--department research --priority batch --purpose HRESCH --models bedside-demo",
            ),
        ),
        Command("list", "ids, scopes and states; never a key", list_keys, InferenceConfig),
        Command(
            "rotate",
            "a new key of the same scope; the old one ends after the overlap",
            rotate_key,
            InferenceConfig,
            words=("id",),
            arguments=RotationOptions,
            examples=("0a1b2c3d --overlap-hours 48",),
        ),
        Command("revoke", "end a key now", revoke_key, InferenceConfig, words=("id",)),
    ),
)

MODELS = Group(
    "models",
    "the model behind the name: switch, canary, rollback; stop and resume",
    (
        Command("list", "the model of the name, on trial, stopped", list_models, InferenceConfig),
        Command(
            "switch",
            "let the name stand for a model; running answers end where they are",
            switch_model,
            InferenceConfig,
            words=("digest",),
        ),
        Command(
            "canary",
            "give a model a share of the callers, on trial",
            try_model,
            InferenceConfig,
            words=("digest",),
            arguments=CanaryOptions,
            examples=("4f2a90c1d3b7 --share 0.1", "4f2a90c1d3b7 --share 0"),
        ),
        Command(
            "rollback", "back to the model before the last switch", roll_back_model, InferenceConfig
        ),
        Command(
            "stop",
            "kill switch: no answer of this model from now on, running ones end",
            stop_model,
            InferenceConfig,
            words=("digest",),
        ),
        Command(
            "resume",
            "let a stopped model answer again",
            resume_model,
            InferenceConfig,
            words=("digest",),
        ),
    ),
)

AUDIT = Group(
    "audit",
    "the record of requests: verify, export, retain, reidentify",
    (
        Command(
            "verify",
            "whether the log is whole, and holds the checkpoint of a file",
            verify_audit,
            InferenceConfig,
            words=("file?",),
        ),
        Group(
            "export",
            "hand the log on: fhir, syslog",
            (
                Command("fhir", "print FHIR AuditEvents, one a line", export_fhir, InferenceConfig),
                Command("syslog", "send what is new to the SIEM", export_syslog, InferenceConfig),
            ),
        ),
        Command(
            "retain",
            "delete what is older than retention_days, leaving signed tombstones",
            shorten_audit,
            InferenceConfig,
        ),
        Command(
            "reidentify",
            "who a pseudonym is; two people must ask, with their keys in BEDSIDE_API_KEY",
            reidentify,
            InferenceConfig,
            words=("pseudonym",),
        ),
    ),
)
