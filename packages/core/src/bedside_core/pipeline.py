"""`bedside adapt`: the steps from documents to a promoted model; `bedside up`: serve it.

Each step runs as a process of its own service's environment (`BEDSIDE_ENVS/<service>`), as each
runs in a container of its own elsewhere, so no step sees another's dependencies or memory.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from bedside_core import lifeline
from bedside_core.commands import Command, leaves
from bedside_core.config import load_document, load_section
from bedside_core.console import say
from bedside_core.dispatch import executable, installed
from bedside_core.errors import BedsideError
from bedside_core.registry import Registry
from bedside_core.services import STEPS, VERBS


class StepError(BedsideError):
    """A step ended with an error that it has already printed."""

    def __init__(self, step: str, code: int) -> None:
        super().__init__(f"{step} ended with exit code {code}; see its message above")
        self.exit_code = code


def adapt(config: Path, overrides: list[str], registry: Registry) -> None:
    """Run every step in order, then promote if the verdict allows it.

    Raises:
        PolicyError: the verdict is not PROMOTE; everything else is done and kept.
    """
    options = ["--config", str(config), *(w for o in overrides for w in ("--set", o))]
    # A slip in the last section shall not be found after hours of training.
    for service in dict.fromkeys(service for service, _ in STEPS):
        code = lifeline.call([*executable(service), "check", *options])
        if code:
            raise StepError(f"check of {service}'s config", code)
    for number, (service, verb) in enumerate(STEPS, start=1):
        say(f"\n[{number}/{len(STEPS) + 1}] {service} {verb}")
        started = time.monotonic()
        code = lifeline.call([*executable(service), service, verb, *options])
        if code:
            raise StepError(f"{service} {verb}", code)
        say(f"[{number}/{len(STEPS) + 1}] {service} {verb}: {time.monotonic() - started:.1f} s")
    say(f"\n[{len(STEPS) + 1}/{len(STEPS) + 1}] registry promote")
    promote(config, overrides, registry)


def promote(config: Path, overrides: list[str], registry: Registry) -> None:
    """Promote what this run has made, if its verdict allows it.

    Raises:
        PolicyError: the verdict is not PROMOTE.
        ArtifactError: the run has no evidence yet, or it was changed.
    """
    name = load_document(config, overrides)["name"]
    entry = registry.promote(registry.get(f"{name}/evidence"))
    say(f"promoted {entry.model[:12]} on evidence {entry.evidence[:12]}")


def check(config: Path, overrides: list[str], registry: Registry) -> None:
    """Validate the sections of every service that is installed here; silent if they are right.

    Raises:
        ConfigError: names the dotted path of each wrong value and the reason.
    """
    document = load_document(config, overrides)
    for service, entry in installed().items():
        for command in leaves(entry.load()):
            if command.config is not None:
                load_section(command.config, document, command.section or service)


def up(config: Path, overrides: list[str], registry: Registry) -> None:
    """Serve what is promoted: becomes `bedside inference up` of the inference environment."""
    options = ["--config", str(config), *(w for o in overrides for w in ("--set", o))]
    command = [*executable("inference"), "inference", "up", *options]
    os.execv(command[0], command)  # noqa: S606 - our own program, found by our own rule


ADAPT = (Command("adapt", VERBS["adapt"], adapt, document=True),)
CHECK = (Command("check", VERBS["check"], check, document=True),)
PROMOTE = (Command("promote", VERBS["promote"], promote, document=True),)
UP = (Command("up", VERBS["up"], up, document=True),)
