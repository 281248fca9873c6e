"""Run configs: one YAML file with one section per service, and `--set a.b=c` on top.

The same file drives a whole pipeline (`bedside adapt`) and each single verb, so a step that is run
by hand sees exactly what the pipeline would give it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core import messages
from bedside_core.errors import ConfigError
from bedside_core.services import SECTIONS

# PyYAML lets ValueError out for an impossible date and RecursionError for very deep nesting.
_YAML_ERRORS = (yaml.YAMLError, ValueError, RecursionError)


class Config(BaseModel):
    """Base of every config class: frozen, no unknown keys, attribute docstrings as field text."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=()
    )

    renamed: ClassVar[dict[str, str]] = {}
    """Former names of settings and what each is called now; a former one is refused with that."""


ConfigT = TypeVar("ConfigT", bound=Config)


def canonical_json(value: object) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces, so that equal values have equal hashes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256_of(value: object) -> str:
    """SHA-256 (hex) of a JSON-able value in canonical form."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def load_document(path: Path, overrides: list[str] | None = None) -> dict[str, Any]:
    """Read a run config and apply overrides; check the top level only.

    Raises:
        ConfigError: unreadable file, bad YAML, unknown section, or a malformed override.
    """
    document = _read_yaml(path)
    for override in overrides or []:
        _apply(document, override)
    unknown = sorted(set(document) - {"name", *SECTIONS}, key=str)
    if unknown:
        known = messages.did_you_mean(str(unknown[0]), ("name", *SECTIONS))
        raise ConfigError(f"{path}: unknown section {unknown[0]!r} - {known}")
    name = document.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]{1,60}", name):
        raise ConfigError(
            f"{path}: name: must be a word of at most 60 letters, digits, '-' and '_' - it names "
            "this run in the registry"
        )
    return document


def load_section(model: type[ConfigT], document: dict[str, Any], section: str) -> ConfigT:
    """Validate one section of a run config.

    Raises:
        ConfigError: names the dotted path of each wrong value and the reason.
    """
    value = document.get(section)
    return validate(model, {} if value is None else value, section)


def load_file(model: type[ConfigT], path: Path) -> ConfigT:
    """Read a YAML file that is one config object as a whole (a policy, say)."""
    return validate(model, _read_yaml(path), str(path))


def validate(
    model: type[ConfigT],
    value: object,
    where: str,
    label: Callable[[messages.Path], str] | None = None,
) -> ConfigT:
    """Validate `value`; a ConfigError's message never quotes the wrong value itself.

    Args:
        model: what it must be.
        value: as read.
        where: what a wrong value's dotted path begins with.
        label: names a wrong value by its path, instead of `where` and the path.

    Raises:
        ConfigError: one line for each wrong value.
    """

    def dotted(path: messages.Path) -> str:
        return ".".join([where, *map(str, path)])

    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ConfigError("\n".join(messages.explain(error, model, label or dotted))) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({type(error).__name__})") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ConfigError(f"{path}, line {line}: not valid YAML - {error.problem}") from None
    except _YAML_ERRORS as error:
        raise ConfigError(f"{path}: not valid YAML ({type(error).__name__})") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must be a mapping of sections")
    return document


def _apply(document: dict[str, Any], override: str) -> None:
    dotted, separator, text = override.partition("=")
    keys = dotted.split(".")
    if not separator or not all(keys):
        raise ConfigError(f"--set {override}: must look like section.key=value")
    node: Any = document
    for key in keys[:-1]:
        node = _child(node, key, dotted)
    try:
        value = yaml.safe_load(text)
    except _YAML_ERRORS:
        raise ConfigError(f"--set {dotted}: the value is not valid YAML") from None
    if isinstance(node, list):
        node[_index(node, keys[-1], dotted)] = value
    else:
        node[keys[-1]] = value


def _child(node: Any, key: str, dotted: str) -> dict[str, Any] | list[Any]:
    """The mapping or list below a node; a mapping that is not there yet is made."""
    if isinstance(node, list):
        index = _index(node, key, dotted)
        node[index] = {} if node[index] is None else node[index]
        child = node[index]
    else:
        child = node[key] = {} if node.get(key) is None else node[key]
    if not isinstance(child, dict | list):
        raise ConfigError(f"--set {dotted}: {key!r} is a single value and has nothing below it")
    return child


def _index(items: list[Any], key: str, dotted: str) -> int:
    if not key.isdecimal() or int(key) >= len(items):
        raise ConfigError(
            f"--set {dotted}: {key!r} is no entry of this list, which has {len(items)}, counted "
            "from 0 - a new entry is written into the file"
        )
    return int(key)
