"""One verb's options: made from its `Command`, read wherever they stand among the words.

Tested in tests/core/test_cli.py.
"""

from __future__ import annotations

import argparse
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never, get_args, get_origin

from bedside_core.commands import Command
from bedside_core.errors import ConfigError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from bedside_core.config import Config

CONFIG = "BEDSIDE_CONFIG"
"""Names the run config where `--config` does not."""
VALUED = ("--config", "--set")
"""Options of every verb with a run config; each takes a value."""
HELP = ("-h", "--help")
MORE = "..."
"""Ends the name of a word that may be repeated."""


class Parser(argparse.ArgumentParser):
    """Reads the options of one verb; what is wrong becomes a ConfigError in our words."""

    @property
    def verb(self) -> str:
        """What messages call it: the words after `bedside`."""
        return self.prog.removeprefix("bedside ")

    def error(self, message: str) -> Never:
        """Called by argparse, here only for an option without its value."""
        option = message.partition(":")[0].removeprefix("argument ")
        raise ConfigError(f"{self.verb}: {option} needs a value - see `{self.prog} --help`")


def parser_of(path: Sequence[str], command: Command) -> Parser:
    """The parser of a verb that is reached by the words of `path`."""
    prog = " ".join(("bedside", *path))
    parser = Parser(
        prog=prog,
        usage=" ".join((prog, *map(_shown, command.words), "[options]")),
        description=command.help,
        epilog=_epilog(prog, command),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if command.config is not None or command.document:
        parser.add_argument(
            "--config",
            type=Path,
            default=os.environ.get(CONFIG),
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
    for name, field in _fields(command.arguments).items():
        parser.add_argument(option_of(name), dest=name, default=None, **_how(name, field))
    return parser


def parse(path: Sequence[str], command: Command, given: Sequence[str]) -> argparse.Namespace:
    """The options and words of one call; `words` holds the words' values, one for each name.

    Raises:
        ConfigError: an unknown option, an option without a value, a word too many or too few.
    """
    parser = parser_of(path, command)
    end = given.index("--") if "--" in given else len(given)
    options, rest = parser.parse_known_args(list(given[:end]))
    unknown = next((word for word in rest if word.startswith("-") and word != "-"), None)
    if unknown is not None:
        raise ConfigError(_unknown_option(parser, command, unknown))
    options.words = _bind(parser, command, [*rest, *given[end + 1 :]])
    if (command.config is not None or command.document) and options.config is None:
        raise ConfigError(f"--config FILE is missing - name a run config, or set {CONFIG}")
    return options


def arguments_of(command: Command, options: argparse.Namespace) -> Config | None:
    """The verb's own options, validated.

    Raises:
        ConfigError: one line for each wrong or missing option.
    """
    model = command.arguments
    if model is None:
        return None
    from bedside_core.config import validate

    given: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        value = getattr(options, name)
        if value is not None:
            given[name] = value.split(",") if _is_list(field) else value
    return validate(model, given, command.verb, lambda at: option_of(str(at[0])) if at else "")


def option_of(name: str) -> str:
    """The option that sets a field."""
    return "--" + name.replace("_", "-")


def _fields(model: type[Config] | None) -> dict[str, FieldInfo]:
    return {} if model is None else model.model_fields


def _how(name: str, field: FieldInfo) -> dict[str, Any]:
    text = " ".join((field.description or "").split()).replace("%", "%%")
    if field.annotation is bool:
        return {"action": "store_true", "help": text}
    choices = next((get_args(part) for part in _alternatives(field) if _is_choice(part)), ())
    if choices:
        text = f"{text} One of {', '.join(map(str, choices))}."
    if field.is_required():
        text = f"{text} (needed)"
    elif field.default is not None:
        text = f"{text} (default: {field.default})"
    return {"metavar": name.upper() + (",..." if _is_list(field) else ""), "help": text.strip()}


def _alternatives(field: FieldInfo) -> list[Any]:
    annotation = field.annotation
    parts = get_args(annotation) if type(None) in get_args(annotation) else (annotation,)
    return [get_args(part)[0] if hasattr(part, "__metadata__") else part for part in parts]


def _is_list(field: FieldInfo) -> bool:
    return any(get_origin(part) is tuple for part in _alternatives(field))


def _is_choice(annotation: Any) -> bool:
    return getattr(get_origin(annotation), "_name", None) == "Literal"


def _unknown_option(parser: Parser, command: Command, word: str) -> str:
    from bedside_core.messages import did_you_mean

    name = word.partition("=")[0]
    known = [option for action in parser._actions for option in action.option_strings]
    hint = ""
    if command.config is not None and name.removeprefix("--").replace("-", "_") in (
        command.config.model_fields
    ):
        hint = "; a setting is given as `--set SECTION.NAME=VALUE`"
    return f"{parser.verb}: unknown option {name} - {did_you_mean(name, known)}{hint}"


def _bind(
    parser: Parser, command: Command, given: Sequence[str]
) -> list[str | tuple[str, ...] | None]:
    for word in given:
        name, separator, _ = word.partition("=")
        if separator and name in _fields(command.arguments):
            raise ConfigError(
                f"{parser.verb}: `{name}=VALUE` is now written `{option_of(name)} VALUE`"
            )
    fixed = len(command.words)
    repeated = fixed > 0 and command.words[-1].endswith(MORE)
    if len(given) > fixed and not repeated:
        taken = " ".join(map(_shown, command.words)) or "no word"
        raise ConfigError(
            f"{parser.verb} takes {taken}, and {len(given)} stand here - see `{parser.prog} --help`"
        )
    values: list[str | tuple[str, ...] | None] = [*given, *[None] * (fixed - len(given))]
    if repeated and len(given) >= fixed:
        values[fixed - 1 :] = [tuple(given[fixed - 1 :])]
    for name, value in zip(command.words, values, strict=True):
        if value is None and not name.endswith("?"):
            raise ConfigError(
                f"{parser.verb}: {_shown(name)} is missing - see `{parser.prog} --help`"
            )
    return values


def _shown(word: str) -> str:
    name = word.rstrip("?").upper()
    return f"[{name}]" if word.endswith("?") else name


def _epilog(prog: str, command: Command) -> str | None:
    if not command.examples:
        return None
    lines = "\n".join(f"{prog} {example}" for example in command.examples)
    return f"examples:\n{textwrap.indent(lines, '  ')}"
