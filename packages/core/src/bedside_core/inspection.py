"""What a look ahead finds: a service writes it down, core puts it together (`preflight`).

A service's check is a function `(config, inspection)` that its `Command` names. It reads files and
settings, loads no model and changes nothing.

Tested in tests/core/test_preflight.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from bedside_core.config import Config
from bedside_core.errors import BedsideError, ConfigError

Kind = Literal["checked", "unsure", "fault", "has", "needs"]
Thing = Literal[
    "tokens",
    "parameters",
    "bytes_of_text",
    "bytes_of_disk_per_parameter",
    "bytes_of_disk_per_byte_of_text",
    "bytes_of_memory_per_parameter",
]
"""What one step has and others need; only core sees both."""


class Finding(Config):
    """One line of a report, and between processes one line of JSON."""

    kind: Kind
    text: str
    """A sentence for people; of a need, the setting that it comes from."""
    code: int = 0
    """Of a fault: the exit code."""
    thing: Thing | None = None
    amount: int = 0
    most_parameters: int | None = None
    """Of a need: larger models do without."""


Extent = Literal["settings", "files", "machine"]
"""How far a look goes; each includes the one before."""
EXTENT = "BEDSIDE_CHECK"
"""Where the steps run on other machines: `files` looks at no port, memory or disk, `settings` at no
file either."""


def extent() -> Extent:
    """How far to look, by the variable.

    Raises:
        ConfigError: it says something else.
    """
    match os.environ.get(EXTENT, "machine"):
        case "settings" | "files" | "machine" as found:
            return found
        case other:
            raise ConfigError(f"{EXTENT}: {other!r} is neither settings nor files nor machine")


class Inspection:
    """A look at one service: what it found, and what it can be asked."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.extent = extent()
        self.findings: list[Finding] = []

    def checked(self, text: str) -> None:
        """Something was looked at and is right."""
        self.findings.append(Finding(kind="checked", text=text))

    def unsure(self, text: str) -> None:
        """Something could not be looked at; says why."""
        self.findings.append(Finding(kind="unsure", text=text))

    def fault(self, error: BedsideError, setting: str = "") -> None:
        """Something a later step would fail on; one finding for each line of the message.

        `setting` stands before a line that does not name it.
        """
        for line in str(error).splitlines():
            text = line if line.startswith(setting) else f"{setting}: {line}"
            self.findings.append(Finding(kind="fault", text=text, code=error.exit_code))

    @contextmanager
    def looking(self, at: str) -> Iterator[None]:
        """A look that ends in a fault or, if nothing is raised, in `at` being checked.

        `at` begins with the setting that is looked at, and a colon.
        """
        try:
            yield
        except BedsideError as error:
            self.fault(error, at.partition(":")[0])
        else:
            self.checked(at)

    def has(self, thing: Thing, amount: int, text: str) -> None:
        """What this step brings, for others to be measured against."""
        self.findings.append(Finding(kind="has", text=text, thing=thing, amount=amount))

    def needs(
        self, thing: Thing, amount: int, text: str, *, most_parameters: int | None = None
    ) -> None:
        """What this step needs of what another one has; models above `most_parameters` do not."""
        self.findings.append(
            Finding(
                kind="needs",
                text=text,
                thing=thing,
                amount=amount,
                most_parameters=most_parameters,
            )
        )
