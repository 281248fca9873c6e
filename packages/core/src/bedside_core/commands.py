"""What a verb is: the data from which the command line makes its parser, its help and its call.

Tested in tests/core/test_cli.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bedside_core.config import Config
    from bedside_core.inspection import Inspection


@dataclass(frozen=True, slots=True)
class Command:
    """A verb of a service."""

    verb: str
    help: str
    run: Callable[..., None]
    """`run(config, run)` if there is a `config` class, else `run(registry)`; `words` follow, one by
    one, and last the `arguments`."""
    config: type[Config] | None = None
    section: str | None = None
    """The section of the run config that `config` describes; by default the service's name."""
    words: tuple[str, ...] = ()
    """Names of positional arguments; one that ends in `?` may be left out, and the last may end in
    `...`: one word or more, handed over as a tuple."""
    document: bool = False
    """Whether `run` wants the whole run config: `run(path, overrides, registry)`."""
    arguments: type[Config] | None = None
    """Options of an operator's verb that are no settings: a field is an option, its docstring the
    option's help. What belongs into a run config has no option."""
    check: Callable[[Any, Inspection], None] | None = None
    """Looks at what `config` names before any step runs: `check(config, inspection)`."""
    examples: tuple[str, ...] = ()
    """What may follow the verb's own name, for its `--help`."""


@dataclass(frozen=True, slots=True)
class Group:
    """A verb that has verbs of its own."""

    verb: str
    help: str
    commands: tuple[Command | Group, ...]


Node = Command | Group


def leaves(nodes: Iterable[Node]) -> Iterator[Command]:
    """Every verb that does something, in order."""
    for node in nodes:
        if isinstance(node, Group):
            yield from leaves(node.commands)
        else:
            yield node
