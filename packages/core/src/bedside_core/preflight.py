"""`bedside check`: a look at everything that a later step of a run needs, before the first one.

Each service looks with its own code in its own environment, all at once, and answers with one
JSON line for each finding (`bedside check SERVICE`); what only shows when the answers are put side
by side (context, disk, memory) is seen here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from bedside_core import dispatch, lifeline, memory
from bedside_core.commands import leaves
from bedside_core.config import Config, load_document, load_section
from bedside_core.errors import BedsideError, ConfigError, InputError
from bedside_core.inspection import Finding, Inspection, extent
from bedside_core.registry.registry import Registry
from bedside_core.services import SERVICES, STEPS

LIMIT_SECONDS = 120
"""A look that takes longer has hung."""
GPU = Path("/dev/nvidiactl")


class PreflightError(BedsideError):
    """Everything that is wrong with a run before it begins; exits like its first fault."""

    def __init__(self, faults: Sequence[Finding]) -> None:
        super().__init__("\n".join(fault.text for fault in faults))
        self.exit_code = faults[0].code


class Report(NamedTuple):
    """What a look at a whole run has found."""

    checked: list[str]
    unsure: list[str]
    faults: list[Finding]


def look(config: Path, overrides: list[str], registry: Registry, *, to_run: bool) -> Report:
    """Look at every section in the environment of its service.

    Args:
        config: the run config.
        overrides: what `--set` changes.
        registry: where the run will write.
        to_run: whether the steps are about to run here, so that a missing environment is a fault.

    Raises:
        ConfigError: the config file as a whole is unusable.
    """
    document = load_document(config, overrides)
    found = _of_services(config, overrides, document, to_run=to_run)
    if to_run or extent() == "machine":
        # An image of one service says little of the machine that another step runs on.
        runs_here = to_run or all(_is_here(service) for service, _ in STEPS)
        found += _of_registry(registry, writes=runs_here)
        trained = registry.slot(document["name"], "checkpoint") is not None
        found += _side_by_side(found, registry, lenient=trained or not runs_here)
    return Report(
        [finding.text for finding in found if finding.kind == "checked"],
        [finding.text for finding in found if finding.kind == "unsure"],
        [finding for finding in found if finding.kind == "fault"],
    )


def inspect(service: str, document: dict[str, Any]) -> list[Finding]:
    """Look at one service's sections with its own code, in this environment.

    Raises:
        ConfigError: the service is not installed here.
    """
    entry = dispatch.installed().get(service)
    if entry is None:
        raise ConfigError(dispatch.missing(service))
    inspection = Inspection(document)
    for section, (model, checks) in _sections(service, entry.load()).items():
        config = None
        with inspection.looking(f"{section}: every setting"):
            config = load_section(model, document, section)
        if config is None and checks:
            inspection.unsure(f"{section}: files and sizes, before its settings are right")
        elif checks and inspection.extent == "settings":
            inspection.unsure(f"{section}: the files that it names, which are not present here")
            checks = []
        for check in checks if config is not None else ():
            # Standard output belongs to the findings.
            with redirect_stdout(sys.stderr):
                check(config, inspection)
    return inspection.findings


Checks = list[Callable[[Any, Inspection], None]]


def _sections(service: str, commands: Any) -> dict[str, tuple[type[Config], Checks]]:
    found: dict[str, tuple[type[Config], Checks]] = {}
    for command in leaves(commands):
        if command.config is not None:
            _, checks = found.setdefault(command.section or service, (command.config, []))
            if command.check is not None:
                checks.append(command.check)
    return found


def _of_services(
    config: Path, overrides: list[str], document: dict[str, Any], *, to_run: bool
) -> list[Finding]:
    options = ["--config", str(config), *(w for o in overrides for w in ("--set", o))]
    started: dict[str, subprocess.Popen[str]] = {}
    found: dict[str, list[Finding]] = {}
    for service in (service.name for service in SERVICES if service.sections):
        try:
            command = dispatch.executable(service)
        except ConfigError as error:
            found[service] = [_without_environment(service, error, to_run=to_run)]
            continue
        if command[0] == sys.executable:
            found[service] = inspect(service, document)
        else:
            started[service] = subprocess.Popen(  # noqa: S603
                [*command, "check", service, *options],
                env=lifeline.tied(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
    for service, child in started.items():
        found[service] = _answer(service, child)
    return [finding for service in SERVICES for finding in found.get(service.name, ())]


def _without_environment(service: str, error: ConfigError, *, to_run: bool) -> Finding:
    if to_run and service in {name for name, _ in STEPS}:
        return Finding(kind="fault", text=str(error), code=error.exit_code)
    return Finding(kind="unsure", text=f"{service}: {error}")


def _answer(service: str, child: subprocess.Popen[str]) -> list[Finding]:
    try:
        out, err = child.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        text = f"{service}: the look at it took more than {LIMIT_SECONDS} s and was ended"
        return [Finding(kind="unsure", text=text)]
    if child.returncode:
        last = (err.strip().splitlines() or ["no message"])[-1].removeprefix("bedside: ")
        return [Finding(kind="fault", text=f"{service}: {last}", code=child.returncode)]
    try:
        return [Finding.model_validate_json(line) for line in out.splitlines()]
    except ValidationError:
        text = f"{service}: its environment answers as another version of Bedside - set it up anew"
        return [Finding(kind="fault", text=text, code=ConfigError.exit_code)]


def _is_here(service: str) -> bool:
    return service in dispatch.installed() or dispatch.program(service) is not None


def _of_registry(registry: Registry, *, writes: bool) -> Iterable[Finding]:
    """Whether the steps can write there; a place where they do not run need not."""
    folder = _nearest(registry.home)
    if os.access(folder, os.W_OK | os.X_OK):
        yield Finding(kind="checked", text=f"registry: {registry.home} can be written")
    elif not writes:
        yield Finding(kind="unsure", text=f"registry: {folder} can only be read here")
    else:
        text = f"BEDSIDE_HOME: {folder} cannot be written - make it writable, or name another place"
        yield Finding(kind="fault", text=text, code=ConfigError.exit_code)


def _nearest(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _side_by_side(found: list[Finding], registry: Registry, *, lenient: bool) -> Iterable[Finding]:
    yield from _context(found)
    parameters, text = _one(found, "parameters"), _one(found, "bytes_of_text")
    if parameters is None:
        if any(f.thing == "bytes_of_disk_per_parameter" for f in found):
            yield Finding(kind="unsure", text="disk and memory: the base model is not present yet")
        return
    size = parameters.amount
    applies = [f for f in found if f.most_parameters is None or size <= f.most_parameters]
    disk, by_text, most = (
        [f for f in applies if f.thing == thing]
        for thing in (
            "bytes_of_disk_per_parameter",
            "bytes_of_disk_per_byte_of_text",
            "bytes_of_memory_per_parameter",
        )
    )
    free = shutil.disk_usage(_nearest(registry.home)).free
    need = size * sum(finding.amount for finding in disk)
    if text is not None:
        need += text.amount * sum(finding.amount for finding in by_text)
    elif by_text:
        yield Finding(kind="unsure", text="disk: what the corpus takes, whose size is not known")
    yield _enough("disk", need, free, "make room, or put BEDSIDE_HOME on a larger disk", lenient)
    room = memory.available_bytes()
    for finding in most:
        if room is not None:
            need = size * finding.amount
            service, _, advice = finding.text.partition(": ")
            yield _enough(f"memory ({service})", need, room, advice, lenient or GPU.exists())


def _context(found: list[Finding]) -> Iterable[Finding]:
    needs = [f for f in found if f.kind == "needs" and f.thing == "tokens"]
    has = _one(found, "tokens")
    if has is None:
        if needs:
            text = "context: how many tokens the base model sees is not known yet"
            yield Finding(kind="unsure", text=text)
        return
    for need in needs:
        if need.amount > has.amount:
            text = (
                f"{need.text}: {need.amount} is longer than the {has.amount} tokens that the base "
                f"model sees - set it to {has.amount} or less"
            )
            yield Finding(kind="fault", text=text, code=InputError.exit_code)
    longest = max((need.amount for need in needs), default=0)
    if longest <= has.amount:
        text = f"context: {has.amount} tokens, {longest} are needed"
        yield Finding(kind="checked", text=text)


def _enough(what: str, need: int, free: int, advice: str, lenient: bool) -> Finding:
    text = f"{what}: about {memory.gib(need)} are needed, {memory.gib(free)} are there"
    if need <= free:
        return Finding(kind="checked", text=text)
    if lenient:
        text = f"{text}; whether that will do depends on where the steps run and what is done"
        return Finding(kind="unsure", text=text)
    return Finding(kind="fault", text=f"{text} - {advice}", code=InputError.exit_code)


def _one(found: list[Finding], thing: str) -> Finding | None:
    return next((f for f in found if f.kind == "has" and f.thing == thing), None)
