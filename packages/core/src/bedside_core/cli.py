"""`bedside SERVICE VERB [VERB] [WORD]... [--config FILE] [--set a.b=c]...`.

Verbs come from the entry-point group `bedside.commands`, so an image has just its own service's
verbs; what is not here is handed over to the service's own environment (`dispatch`). There is no
option per setting: a setting lives in the config file. Options may stand anywhere.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple, Never

from bedside_core import dispatch, lifeline, log, memory, offline
from bedside_core.arguments import HELP, VALUED, arguments_of, parse, parser_of
from bedside_core.commands import Command, Group, Node
from bedside_core.errors import BedsideError, ConfigError, InputError
from bedside_core.services import SERVICES, VERBS

INTERRUPTED = 130
"""128 + SIGINT, what shells expect of a command that Ctrl-C ended."""
VERSION = "--version"
NAMES = {**{service.name: service.help for service in SERVICES}, **VERBS}
"""What may follow `bedside`, wherever it is installed."""


class Route(NamedTuple):
    """Where the words of a command line lead."""

    path: tuple[str, ...]
    """The service and the verbs below it."""
    node: Node | None
    """What stands there; None is `bedside` itself."""
    rest: list[str]
    """The words that are left, options included."""


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
        _follow(route(words))
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
        if isinstance(error, ModuleNotFoundError) and not _is_ours(error.name):
            return fail(
                f"this environment lacks {error.name!r}, which the verb needs - run it in the "
                "environment or the image of its own; `bash scripts/setup.sh NAME` makes one",
                ConfigError.exit_code,
            )
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


def _is_ours(module: str | None) -> bool:
    return module is None or module.startswith("bedside")


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def commands_of(service: str) -> tuple[Node, ...] | None:
    """The verbs of a service in this environment; None if it is not installed here."""
    found = dispatch.installed().get(service)
    return None if found is None else found.load()


def route(words: Sequence[str]) -> Route:
    """Find the verb among the words; a service that is not here takes over and does not return.

    Raises:
        ConfigError: an unknown service or verb, or none at all.
    """
    rest = list(words)
    at = _next_word(rest)
    if at is None:
        return Route((), None, rest)
    service = rest.pop(at)
    commands = commands_of(service)
    if commands is None:
        if service not in {known.name for known in SERVICES}:
            raise ConfigError(_unknown((), service, sorted({*NAMES, *dispatch.installed()})))
        dispatch.hand_over(service, words)
    alone = len(commands) == 1 and commands[0].verb == service
    node: Node = commands[0] if alone else Group(service, NAMES.get(service, ""), commands)
    path = [service]
    while isinstance(node, Group):
        at = _next_word(rest, path)
        if at is None:
            break
        verb = rest.pop(at)
        below = {command.verb: command for command in node.commands}
        if verb not in below:
            raise ConfigError(_unknown(path, verb, list(below)))
        node = below[verb]
        path.append(verb)
    return Route(tuple(path), node, rest)


def _next_word(words: Sequence[str], path: Sequence[str] = ()) -> int | None:
    """Where the first word is that is neither an option nor the value of one.

    Raises:
        ConfigError: an option stands before it that not every verb has.
    """
    value = False
    for index, word in enumerate(words):
        if word == "--":
            return None
        if not value and not word.startswith("-"):
            return index
        name = word.partition("=")[0]
        if not value and name not in (*VALUED, *HELP, VERSION):
            raise ConfigError(f"{_shown(path)}: option {name} has no place before the verb")
        value = not value and word in VALUED
    return None


def _shown(path: Sequence[str]) -> str:
    return " ".join(path) or "bedside"


def _unknown(path: Sequence[str], name: str, known: list[str]) -> str:
    from bedside_core.messages import did_you_mean

    return f"{_shown(path)}: unknown verb {name!r} - {did_you_mean(name, known)}"


def _follow(found: Route) -> None:
    path, node, rest = found
    if isinstance(node, Command):
        if set(HELP) & set(rest[: rest.index("--") if "--" in rest else None]):
            parser_of(path, node).print_help()
        else:
            _call(path, node, rest)
    elif VERSION in rest:
        sys.stdout.write(f"bedside {version('bedside-core')}\n")
    elif set(HELP) & set(rest):
        sys.stdout.write(_overview(path, node))
    else:
        _refuse(path, node)


def _overview(path: Sequence[str], node: Group | None) -> str:
    """The help of `bedside` itself, or of a verb that has verbs."""
    if node is None:
        below = "SERVICE VERB"
        names = [*NAMES.items()]
        others = sorted(set(dispatch.installed()) - set(NAMES))
        names += [(name, "installed here") for name in others]
        title = "Adapt a language model to a hospital, prove it, serve it."
        end = (
            "example: bedside adapt --config configs/demo.yaml --set trainer.num_epochs=2\n"
            "`bedside SERVICE --help` shows a service's verbs; --version says which Bedside this is"
        )
    else:
        below, title = "VERB", node.help
        names = [(command.verb, command.help) for command in node.commands]
        end = f"`{' '.join(('bedside', *path))} VERB --help` shows a verb's words and options"
    width = max(len(name) for name, _ in names)
    lines = "\n".join(f"  {name:{width}}  {text}" for name, text in names)
    usage = " ".join(("usage: bedside", *path, below, "[--config FILE] [--set A.B=C]..."))
    return f"{usage}\n\n{title}\n\n{lines}\n\n{end}\n"


def _refuse(path: Sequence[str], node: Group | None) -> Never:
    known = list(NAMES) if node is None else [command.verb for command in node.commands]
    raise ConfigError(f"{_shown(path)}: which verb? - known are: {', '.join(known)}")


def _call(path: Sequence[str], command: Command, rest: Sequence[str]) -> None:
    from bedside_core.config import load_document, load_section
    from bedside_core.kinds.serving import Serving
    from bedside_core.registry.registry import Registry
    from bedside_core.run import Run

    options = parse(path, command, rest)
    given = arguments_of(command, options)
    words = [*options.words, *([] if given is None else [given])]
    registry = Registry.from_environment()
    if command.document:
        command.run(options.config, options.overrides, registry, *words)
    elif command.config is None:
        command.run(registry, *words)
    else:
        service = path[0]
        document = load_document(options.config, options.overrides)
        config = load_section(command.config, document, command.section or service)
        name, serving = document["name"], Serving.of(document)
        command.run(config, Run(name, service, path[-1], registry, serving), *words)


if __name__ == "__main__":
    sys.exit(main())
