"""What operators do: `bedside inference keys`, `models` and `audit`, each verb on record.

Options are told here, so nothing heavy is imported before a verb runs.

Tested in tests/inference/test_keys.py, tests/inference/test_aliases.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bedside_core import log
from bedside_core.commands import Command, Group
from bedside_core.config import Config
from bedside_core.console import say
from bedside_core.errors import ConfigError
from bedside_core.messages import did_you_mean
from bedside_core.run import Run
from bedside_inference.config import InferenceConfig
from bedside_inference.state.records import KeyOptions

if TYPE_CHECKING:
    from bedside_inference.models import Desk
    from bedside_inference.state.store import Audit, Store

logger = logging.getLogger(__name__)


class NewKeyOptions(KeyOptions):
    """One key, or a table of them."""

    csv: Path | None = None
    """Makes a key for each line of this table, all or none. Its first line names the columns, which
    are the options above (models separated by blanks); the keys are printed as CSV."""
    output: Path | None = None
    """Writes what would be printed into this new file, which only you can read."""


class RevocationOptions(Config):
    """Which key ends."""

    pseudonym: str | None = None
    """Ends the key behind this pseudonym of the audit, in the place of ID, and does not tell whose
    it is."""


class RotationOptions(Config):
    """How a key is followed by another."""

    overlap_hours: Annotated[float, Field(ge=0, le=24 * 31)] = 24
    """How long the old key stays valid beside the new one."""


class UsageOptions(Config):
    """How usage is told."""

    format: Literal["table", "csv", "json"] = "table"
    """How it is written."""


class SwitchOptions(Config):
    """Whether to look first."""

    force: bool = False
    """Does it though no engine serves that model now."""


class CanaryOptions(SwitchOptions):
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
    """Make a key, or those of a table, and print them, only this once.

    Raises:
        ConfigError: a key would be for a model that nobody can ask here, or the options disagree.
        InputError: the table asks for something wrong; no key was made.
        ArtifactError: the state database cannot be used.
    """
    from bedside_inference.audit.journal import AuditLog, audit_directory
    from bedside_inference.bulk import create_listed, new_file, read_table
    from bedside_inference.keys import create_all, show

    days = options.days or config.state.key_days
    with _state(config, run) as (store, audit):
        known = {config.model_name, *store.snapshot().aliases}
        if options.csv is not None:
            if options.model_fields_set - {"csv", "output", "days"}:
                raise ConfigError("--csv: the table tells all of each key - no other option fits")
            wanted = read_table(options.csv, lambda where, row: _require_models(where, row, known))
            directory = audit_directory(config.audit, run.registry.home)
            with AuditLog(directory, config.audit) as record:
                create_listed(store, wanted, days, options.output, record)
            return
        _require_models("--models", options, known)
        scopes = [(options.scope, days)]
        if options.output is None:
            [made] = create_all(store, scopes, audit=audit)
            show(made)
        else:
            with new_file(options.output) as write:
                create_all(
                    store, scopes, audit=audit,
                    deliver=lambda made: write(made[0].secret.encode() + b"\n"),
                )  # fmt: skip


def _require_models(where: str, wanted: KeyOptions, known: set[str]) -> None:
    unknown = next((name for name in wanted.models or () if name not in known), None)
    if unknown is not None:
        raise ConfigError(
            f"{where}: {unknown!r} is no model of this house - {did_you_mean(unknown, known)}"
        )


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


def revoke_key(
    config: InferenceConfig, run: Run, key: str | None, options: RevocationOptions
) -> None:
    """End a key now.

    Raises:
        ConfigError: no key is named, or two are.
        InputError: there is no such key or pseudonym.
    """
    from bedside_inference.keys import revoke

    if (key is None) == (options.pseudonym is None):
        raise ConfigError("name one key - `keys revoke ID`, or `keys revoke --pseudonym PSEUDONYM`")
    if options.pseudonym is None:
        with _state(config, run) as (store, audit):
            revoke(store, key or "", audit=audit)
        logger.info("key revoked", extra=log.fields(key=key))
        return
    from bedside_inference.audit.manage import key_behind

    found = key_behind(config, run.registry.home, options.pseudonym)
    with _state(config, run) as (store, audit):
        revoke(store, found, audit=audit, pseudonym=options.pseudonym)
    logger.info("key revoked", extra=log.fields(pseudonym=options.pseudonym))


def lock_out(config: InferenceConfig, run: Run, who: str) -> None:
    """Let a person in no more, and end what is being answered.

    Args:
        config: of the section.
        run: where the house is.
        who: a pseudonym of the audit, or the token's `ISSUER|SUBJECT`.
    """
    from bedside_inference.persons import lock_out

    _with_person(config, run, who, lock_out)


def readmit(config: InferenceConfig, run: Run, who: str) -> None:
    """Let a person in again."""
    from bedside_inference.persons import readmit

    _with_person(config, run, who, readmit)


def _with_person(config: InferenceConfig, run: Run, who: str, act: Callable[..., int]) -> None:
    from bedside_inference.audit.manage import person_behind

    subject, pseudonym = person_behind(config, run.registry.home, who)
    with _state(config, run) as (store, audit):
        number = act(store, subject, audit=audit, pseudonym=pseudonym)
    logger.info("persons changed", extra=log.fields(action=run.verb, pseudonym=pseudonym))
    say(f"locked out are now: {number}")


@contextmanager
def _models(config: InferenceConfig, run: Run) -> Iterator[Desk]:
    """What a verb on models needs; at its end, what is served then."""
    from bedside_inference.models import Desk

    with _state(config, run) as (store, audit):
        desk = Desk(config, run.registry, store, audit)
        before = store.revision()
        yield desk
        changed = store.revision() != before
        if changed:
            fields = log.fields(action=run.verb, name=config.model_name)
            logger.info("models changed", extra=fields)
        say(desk.report(store.snapshot() if changed else None))


def list_models(config: InferenceConfig, run: Run) -> None:
    """Print what the name stands for, what each engine serves, and what answers now."""
    with _models(config, run):
        pass


def switch_model(config: InferenceConfig, run: Run, model: str, options: SwitchOptions) -> None:
    """Let the name stand for a model."""
    with _models(config, run) as desk:
        desk.switch(model, force=options.force)


def try_model(config: InferenceConfig, run: Run, model: str, options: CanaryOptions) -> None:
    """Give a model a share of the name's requests."""
    with _models(config, run) as desk:
        desk.canary(model, share=options.share, force=options.force)


def roll_back_model(config: InferenceConfig, run: Run, options: SwitchOptions) -> None:
    """Go back to the model before the last switch."""
    with _models(config, run) as desk:
        desk.rollback(force=options.force)


def stop_model(config: InferenceConfig, run: Run, model: str) -> None:
    """Let a model answer nobody.

    Raises:
        UnservedError: it is stopped, and no engine serves it now.
    """
    with _models(config, run) as desk:
        digest = desk.stop(model)
    desk.require_stopped_something(digest)


def resume_model(config: InferenceConfig, run: Run, model: str) -> None:
    """Let a stopped model answer again."""
    with _models(config, run) as desk:
        desk.resume(model)


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


def export_pseudonym(config: InferenceConfig, run: Run, pseudonym: str) -> None:
    """Print what is recorded of a pseudonym."""
    from bedside_inference.audit.manage import export_pseudonym

    export_pseudonym(config, run.registry.home, pseudonym)


def export_person(config: InferenceConfig, run: Run, who: str) -> None:
    """Print what is recorded of a person; two must ask."""
    from bedside_inference.audit.manage import export_person
    from bedside_inference.keys import reidentifier, subjects_of

    home = run.registry.home
    find, subjects = reidentifier(config.state, home), subjects_of(config.state, home)
    export_person(config, home, who, find, subjects)


def tell_usage(config: InferenceConfig, run: Run, options: UsageOptions) -> None:
    """Print how much each department asked."""
    from bedside_inference.audit.manage import tell_usage

    tell_usage(config, run.registry.home, options.format)


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
            "make a key, or those of a table, and print it, only this once",
            create_key,
            InferenceConfig,
            arguments=NewKeyOptions,
            examples=(
                "--holder 'Dr. Jana Weiß' --department 'Innere Medizin' --days 90",
                "--department research --priority batch --purpose HRESCH --models bedside-demo",
                "--csv staff.csv --output keys.csv",
            ),
        ),
        Command(
            "list",
            "ids, holders, scopes, last use and states; never a key",
            list_keys,
            InferenceConfig,
        ),
        Command(
            "rotate",
            "a new key of the same scope; the old one ends after the overlap",
            rotate_key,
            InferenceConfig,
            words=("id",),
            arguments=RotationOptions,
            examples=("0a1b2c3d --overlap-hours 48",),
        ),
        Command(
            "revoke",
            "end a key now; its running streams end too",
            revoke_key,
            InferenceConfig,
            words=("id?",),
            arguments=RevocationOptions,
            examples=("0a1b2c3d", "--pseudonym 12.q0mC3x"),
        ),
    ),
)

PERSONS = Group(
    "persons",
    "people of the identity provider: lock out, readmit",
    (
        Command(
            "lock-out",
            "let in no more whom a pseudonym or ISSUER|SUBJECT names; running streams end too",
            lock_out,
            InferenceConfig,
            words=("who",),
            examples=("3.mZ4nq0", "'https://idp.example/realms/house|f81d4fae'"),
        ),
        Command(
            "readmit",
            "let somebody in again",
            readmit,
            InferenceConfig,
            words=("who",),
        ),
    ),
)

MODELS = Group(
    "models",
    "the model behind the name: switch, canary, rollback; stop and resume",
    (
        Command(
            "list",
            "what the name stands for, what each engine serves, what answers now",
            list_models,
            InferenceConfig,
        ),
        Command(
            "switch",
            "let the name stand for a model; running answers end where they are",
            switch_model,
            InferenceConfig,
            words=("model",),
            arguments=SwitchOptions,
            examples=("4f2a90c1d3b7",),
        ),
        Command(
            "canary",
            "give a model a share of the callers, on trial",
            try_model,
            InferenceConfig,
            words=("model",),
            arguments=CanaryOptions,
            examples=("4f2a90c1d3b7 --share 0.1", "4f2a90c1d3b7 --share 0"),
        ),
        Command(
            "rollback",
            "back to the model before the last switch",
            roll_back_model,
            InferenceConfig,
            arguments=SwitchOptions,
        ),
        Command(
            "stop",
            "kill switch: no answer of this model from now on, running ones end",
            stop_model,
            InferenceConfig,
            words=("model",),
            examples=("current", "4f2a90c1d3b7"),
        ),
        Command(
            "resume",
            "let a stopped model answer again",
            resume_model,
            InferenceConfig,
            words=("model",),
        ),
    ),
)

AUDIT = Group(
    "audit",
    "the record of requests: verify, export, usage, retain, reidentify",
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
            "hand the log on: fhir, syslog; what it holds of a pseudonym or a person",
            (
                Command("fhir", "print FHIR AuditEvents, one a line", export_fhir, InferenceConfig),
                Command("syslog", "send what is new to the SIEM", export_syslog, InferenceConfig),
                Command(
                    "pseudonym",
                    "print every entry of a pseudonym, one a line",
                    export_pseudonym,
                    InferenceConfig,
                    words=("pseudonym",),
                ),
                Command(
                    "person",
                    "print every entry of a person: pseudonym, key or ISSUER|SUBJECT; two people "
                    "must ask, with their keys in BEDSIDE_API_KEY",
                    export_person,
                    InferenceConfig,
                    words=("who",),
                ),
            ),
        ),
        Command(
            "usage",
            "requests, refusals and tokens by month and department, small ones together",
            tell_usage,
            InferenceConfig,
            arguments=UsageOptions,
            examples=("--format csv",),
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
