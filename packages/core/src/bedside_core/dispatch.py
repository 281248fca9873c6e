"""Where the verbs of a service are: in this environment, or in one of the service's own.

Environments are looked for in the folder that BEDSIDE_ENVS names; without it, beside this
environment and in the `.venvs` of the checkout that this code runs from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Never

from bedside_core.errors import ConfigError

ENVIRONMENTS = "BEDSIDE_ENVS"
"""The folder that holds the services' environments, each under its service's name."""
CHECKOUT = next(
    (folder for folder in Path(__file__).parents if (folder / "scripts/setup.sh").is_file()),
    Path(__file__).parent,
)
"""Of this code; in an image, which has none, a folder without environments."""


def installed() -> dict[str, EntryPoint]:
    """The services whose verbs are in this environment, by name; nothing is imported."""
    return {found.name: found for found in entry_points(group="bedside.commands")}


def program(environment: str) -> Path | None:
    """The `bedside` of another environment, if that is there."""
    given = os.environ.get(ENVIRONMENTS)
    folders = [Path(given)] if given else [Path(sys.prefix).parent, CHECKOUT / ".venvs"]
    for folder in folders:
        path = folder.absolute() / environment / "bin" / "bedside"
        if path.is_file():
            return path
    return None


def executable(service: str) -> list[str]:
    """The command line that reaches a service: its own environment's, or this one's.

    Raises:
        ConfigError: the service is in neither.
    """
    path = program(service) if os.environ.get(ENVIRONMENTS) else None
    if path is None and service in installed():
        return [sys.executable, "-m", "bedside_core.cli"]
    path = path or program(service)
    if path is None:
        raise ConfigError(missing(service))
    return [str(path)]


def hand_over(service: str, words: Sequence[str]) -> Never:
    """Become the same command in the service's own environment.

    Raises:
        ConfigError: there is none.
    """
    path = program(service)
    if path is None:
        raise ConfigError(missing(service))
    os.execv(path, [str(path), *words])  # noqa: S606 - our own program, found by our own rule


def missing(service: str) -> str:
    """What to say where a service is not to be found."""
    where = os.environ.get(ENVIRONMENTS)
    looked = f"nor below {ENVIRONMENTS} ({where})" if where else "and has no environment beside it"
    return (
        f"the service {service!r} is not installed here {looked} - run `bash scripts/setup.sh "
        f"{service}` in the checkout, set {ENVIRONMENTS} to the folder that holds its "
        f"environment, or use the image bedside/{IMAGES.get(service, service)}"
    )


IMAGES = {"inference": "gateway"}
"""Images that are not called as their service."""
