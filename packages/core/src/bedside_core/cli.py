"""`bedside <service> <verb> --config FILE [--set a.b=c]...`.

Verbs come from the entry-point group `bedside.commands`, so an image has just its own service's
verbs. There is no option per setting: a setting lives in the config file.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from bedside_core import lifeline, log, memory, offline
from bedside_core.config import Config, load_document, load_section
from bedside_core.errors import BedsideError, InputError
from bedside_core.registry import Registry
from bedside_core.run import Run

INTERRUPTED = 130
"""128 + SIGINT, what shells expect of a command that Ctrl-C ended."""


CONFIG = "BEDSIDE_CONFIG"
"""Names the run config where `--config` does not."""


@dataclass(frozen=True, slots=True)
class Command:
    """A verb of a service."""

    verb: str
    help: str
    run: Callable[..., None]
    """`run(config, run)` if there is a `config` class, else `run(registry, *words)`."""
    config: type[Config] | None = None
    section: str | None = None
    """The section of the run config that `config` describes; by default the service's name."""
    words: tuple[str, ...] = ()
    """Names of positional arguments; one that ends in `?` may be left out, a last one that ends in
    `*` takes all that follow, as a list."""
    document: bool = False
    """Whether `run` wants the whole run config: `run(path, overrides, registry)`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the `bedside` command; returns the exit code."""
    log.configure()
    offline.switch_off()
    # A stopped container (SIGTERM) takes the same clean way out as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    if lifeline.PARENT in os.environ:
        lifeline.hold(signal.SIGTERM)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = build_parser().parse_args(words)
        _call(options.service, options.command, options)
    except BedsideError as error:
        return fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return fail(
            "stopped; finished steps are kept, the same command goes on from here", INTERRUPTED
        )
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the top frame of the process
        if memory.is_out_of_memory(error):
            return fail(memory.without_setting(), InputError.exit_code)
        return fail(
            f"internal error ({log.where(error)}) - this is a bug in Bedside; the message is "
            "withheld because it may quote text",
            1,
        )
    return 0


def fail(message: str, code: int) -> int:
    """Print an error for the user and pass its exit code on."""
    sys.stderr.write(f"bedside: {message}\n")
    return code


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def installed_commands() -> dict[str, tuple[Command, ...]]:
    """The verbs of every service in this environment."""
    return {e.name: e.load() for e in sorted(entry_points(group="bedside.commands"))}


def build_parser() -> argparse.ArgumentParser:
    """The parser of every verb that is installed here."""
    parser = argparse.ArgumentParser(
        prog="bedside",
        description="Adapt a language model to a hospital, prove it, serve it.",
        epilog="example: bedside adapt --config configs/demo.yaml --set trainer.num_epochs=2",
        allow_abbrev=False,
    )
    services = parser.add_subparsers(dest="service", required=True, metavar="SERVICE")
    for service, commands in installed_commands().items():
        described = commands[0].help if len(commands) == 1 else f"{len(commands)} verbs"
        if len(commands) == 1 and commands[0].verb == service:
            _add(services.add_parser(service, help=described, allow_abbrev=False), commands[0])
            continue
        sub = services.add_parser(service, help=described, allow_abbrev=False)
        verbs = sub.add_subparsers(dest="verb", required=True, metavar="VERB")
        for command in commands:
            _add(verbs.add_parser(command.verb, help=command.help, allow_abbrev=False), command)
    return parser


def _add(parser: argparse.ArgumentParser, command: Command) -> None:
    parser.description = command.help
    parser.set_defaults(command=command)
    for word in command.words:
        name = word.rstrip("?*")
        parser.add_argument(name, nargs=word[len(name) :] or None)
    if command.config is not None or command.document:
        parser.add_argument(
            "--config",
            type=Path,
            default=os.environ.get(CONFIG),
            required=CONFIG not in os.environ,
            metavar="FILE",
            help=f"run config (YAML), see configs/; by default what {CONFIG} names",
        )
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="A.B=C",
            dest="overrides",
            help="override one value of the config; repeatable",
        )


def _call(service: str, command: Command, options: argparse.Namespace) -> None:
    registry = Registry.from_environment()
    words: list[Any] = [getattr(options, word.rstrip("?*")) for word in command.words]
    if command.document:
        command.run(options.config, options.overrides, registry, *words)
    elif command.config is None:
        command.run(registry, *words)
    else:
        document = load_document(options.config, options.overrides)
        config = load_section(command.config, document, command.section or service)
        run = Run(document["name"], service, command.verb, registry)
        command.run(config, run, *words)


if __name__ == "__main__":
    sys.exit(main())
