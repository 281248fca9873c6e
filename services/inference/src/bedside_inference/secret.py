"""Secrets between our own containers: files below `BEDSIDE_SECRETS`, made once, never defaults."""

from __future__ import annotations

import logging
import os
import re
import secrets
from pathlib import Path

from bedside_core import log
from bedside_core.errors import ConfigError
from bedside_core.files import disk_errors, write_atomic
from bedside_core.registry.registry import Registry

logger = logging.getLogger(__name__)

DIRECTORY = "BEDSIDE_SECRETS"
ENGINE_TOKEN = "engine-token"  # noqa: S105 - the name of a file
"""What the gateway shows to the engine where they talk over a network."""

MIN_LENGTH = 32
TOKEN_BYTES = 32
PLACEHOLDER = re.compile(
    r"change|replace|example|placeholder|secret|password|<|\$\{", re.IGNORECASE
)


def read_secret(name: str) -> str:
    """A secret from its file.

    Raises:
        ConfigError: it is missing, too short, or looks like a placeholder.
    """
    path = _directory() / name
    advice = "`bedside inference secrets` makes a random one where none is"
    try:
        value = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        raise ConfigError(f"{path}: no readable secret - {advice}") from None
    if len(value) < MIN_LENGTH or PLACEHOLDER.search(value) or len(set(value)) < MIN_LENGTH // 4:
        raise ConfigError(
            f"{path}: shorter than {MIN_LENGTH} characters or a placeholder - remove the file; "
            f"{advice}"
        )
    return value


def make_secrets(registry: Registry) -> None:
    """`bedside inference secrets`: make every secret that is missing; what exists is checked.

    Raises:
        ConfigError: one that exists is a placeholder.
        ArtifactError: the directory cannot be written.
    """
    path = _directory() / ENGINE_TOKEN
    with disk_errors(path.name):
        if not path.exists():
            write_atomic(path, secrets.token_urlsafe(TOKEN_BYTES).encode() + b"\n", mode=0o400)
            logger.info("secret made", extra=log.fields(secret=ENGINE_TOKEN))
    read_secret(ENGINE_TOKEN)


def _directory() -> Path:
    directory = os.environ.get(DIRECTORY)
    if not directory:
        raise ConfigError(
            f"{DIRECTORY} is not set - name the directory that holds the engine's token; it is "
            "wanted because inference.engine.url puts the engine on a network"
        )
    return Path(directory)
