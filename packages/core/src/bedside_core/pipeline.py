"""`bedside adapt`: the steps from documents to a promoted model; `bedside up`: serve it.

Each step runs as a process of its own service's environment (`BEDSIDE_ENVS/<service>`), as each
runs in a container of its own elsewhere, so no step sees another's dependencies or memory.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bedside_core import lifeline, memory
from bedside_core.commands import Command
from bedside_core.config import load_document
from bedside_core.console import say
from bedside_core.dispatch import executable
from bedside_core.errors import BedsideError, InputError
from bedside_core.kinds.evidence import read_evidence
from bedside_core.kinds.policy import read_policy
from bedside_core.kinds.serving import Serving
from bedside_core.preflight import PreflightError, inspect, look
from bedside_core.public.write import write_public
from bedside_core.registry import house
from bedside_core.registry.registry import Registry
from bedside_core.services import STEPS, VERBS

OUT_OF_MEMORY = {
    "corpus build": "split large sources into smaller files",
    "trainer run": "lower trainer.batch_size or trainer.sequence_length",
    "eval run": "lower eval.batch_size or eval.max_length",
}
"""By step, what makes it smaller."""


class StepError(BedsideError):
    """A step ended with an error that it has already printed, or was killed without a word."""

    def __init__(self, step: str, code: int) -> None:
        if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
            super().__init__(_killed(step))
            self.exit_code = InputError.exit_code
        else:
            super().__init__(f"{step} ended with exit code {code}; see its message above")
            self.exit_code = code


def _killed(step: str) -> str:
    room = memory.available_bytes()
    left = "" if room is None else f" ({memory.gib(room)} are available now)"
    smaller = OUT_OF_MEMORY.get(step)
    return (
        f"{step} was killed, probably because memory ran out{left} - "
        f"{f'{smaller}, ' if smaller else ''}stop other programs, or give the machine or container "
        "more; the same command goes on from here"
    )


def adapt(config: Path, overrides: list[str], registry: Registry) -> None:
    """Run every step in order, then promote if the verdict allows it; a new home gets its keys.

    Raises:
        PolicyError: the verdict is not PROMOTE; everything else is done and kept.
        PreflightError: a later step would fail; nothing was begun.
        ArtifactError: the registry is not the pinned house's.
    """
    options = ["--config", str(config), *(w for o in overrides for w in ("--set", o))]
    # A slip in the last section shall not be found after hours of training.
    report = look(config, overrides, registry, to_run=True)
    for line in report.unsure:
        say(f"not checked: {line}")
    if report.faults:
        raise PreflightError(report.faults)
    # Only where there is nothing at all; never where something is missing.
    if not registry.home.exists() or not any(registry.home.iterdir()):
        policy = Path(load_document(config, overrides)["eval"]["policy"])
        house.init(registry, policy if read_policy(policy).scope == "demo" else None)
    say(f"{len(report.checked)} things checked before the first step; `bedside check` lists them")
    steps = steps_of(load_document(config, overrides))
    for number, (service, verb) in enumerate(steps, start=1):
        say(f"\n[{number}/{len(steps) + 1}] {service} {verb}")
        started = time.monotonic()
        code = lifeline.call([*executable(service), service, verb, *options])
        if code:
            raise StepError(f"{service} {verb}", code)
        say(f"[{number}/{len(steps) + 1}] {service} {verb}: {time.monotonic() - started:.1f} s")
    say(f"\n[{len(steps) + 1}/{len(steps) + 1}] registry promote")
    promote(config, overrides, registry)


def steps_of(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The steps of this run: the base writes its replay where the training wants one."""
    steps = list(STEPS)
    if (document.get("trainer") or {}).get("replay"):
        steps.insert(steps.index(("trainer", "run")), ("trainer", "replay"))
    return steps


def promote(config: Path, overrides: list[str], registry: Registry) -> None:
    """Promote what this run has made, if its verdict allows it; warn if it cannot serve as proven.

    Raises:
        PolicyError: the verdict is not PROMOTE.
        ArtifactError: the run has no evidence yet, or it was changed.
    """
    document = load_document(config, overrides)
    evidence = registry.get(f"{document['name']}/evidence")
    entry = registry.promote(evidence)
    say(f"promoted {entry.model[:12]} on evidence {entry.evidence[:12]}")
    head = read_evidence(evidence, registry.keyring())
    if unlike := head.unlike(registry.get(entry.model), Serving.of(document)):
        say(
            f"the engine will not serve it as proven with this config: {'; '.join(unlike)} - "
            "change it back before it starts"
        )
    say(f"for others to verify: {write_public(registry, entry)}")


def check(config: Path, overrides: list[str], registry: Registry, service: str | None) -> None:
    """Say what was looked at and what could not be; with a service, that one alone as JSON lines.

    Raises:
        PreflightError: all that is wrong, at once.
        ConfigError: the config file as a whole is unusable, or the service is not here.
    """
    if service is not None:
        for finding in inspect(service, load_document(config, overrides)):
            say(finding.model_dump_json())
        return
    report = look(config, overrides, registry, to_run=False)
    for title, lines in (("checked", report.checked), ("not checked", report.unsure)):
        say("\n".join([f"{title}:", *(f"  {line}" for line in lines or ["nothing"])]))
    if report.faults:
        raise PreflightError(report.faults)


def up(config: Path, overrides: list[str], registry: Registry) -> None:
    """Serve what is promoted: becomes `bedside inference up` of the inference environment."""
    options = ["--config", str(config), *(w for o in overrides for w in ("--set", o))]
    command = [*executable("inference"), "inference", "up", *options]
    os.execv(command[0], command)  # noqa: S606 - our own program, found by our own rule


ADAPT = (Command("adapt", VERBS["adapt"], adapt, document=True),)
CHECK = (Command("check", VERBS["check"], check, document=True, words=("service?",)),)
PROMOTE = (Command("promote", VERBS["promote"], promote, document=True),)
UP = (Command("up", VERBS["up"], up, document=True),)
