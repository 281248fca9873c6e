"""The compose files and Dockerfiles as objects that tests can ask questions; no Docker needed."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

VARIABLE = re.compile(r"\$\{(\w+):-([^{}]*)\}")
INSTRUCTION = re.compile(r"^([A-Z]+)\s+(.*)$")


@dataclass(frozen=True)
class ComposeFile:
    """A compose file, as written and with every variable at its default."""

    text: str

    @cached_property
    def defaults(self) -> dict[str, set[str]]:
        """Each variable that is read, with every default that it is given."""
        found: dict[str, set[str]] = {}
        for name, default in VARIABLE.findall(self.text):
            found.setdefault(name, set()).add(default)
        return found

    @cached_property
    def document(self) -> dict[str, Any]:
        return yaml.safe_load(VARIABLE.sub(lambda match: match[2], self.text))

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        return self.document["services"]

    def mounts(self, service: str) -> dict[str, tuple[str, str]]:
        """What a service mounts: source -> (target, `rw` or `ro`)."""
        found = {}
        for volume in self.services[service].get("volumes", []):
            source, target, mode = (*volume.split(":"), "rw")[:3]
            found[source] = (target, mode)
        return found

    def who_mounts(self, source: str) -> dict[str, str]:
        """The services that mount a volume, and how."""
        mounts = {name: self.mounts(name) for name in self.services}
        return {name: found[source][1] for name, found in mounts.items() if source in found}


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile by stages."""

    text: str

    @cached_property
    def stages(self) -> dict[str, list[tuple[str, str]]]:
        """Instructions with their words, by the stage's name; a last one without is `runtime`."""
        found: dict[str, list[tuple[str, str]]] = {"": []}
        stage = ""
        commentless = re.sub(r"^\s*#.*\n", "", self.text, flags=re.MULTILINE)
        for line in commentless.replace("\\\n", " ").splitlines():
            if not (match := INSTRUCTION.match(line)):
                continue
            instruction, words = match.groups()
            if instruction == "FROM":
                stage = words.split(" AS ")[1] if " AS " in words else "runtime"
                found[stage] = []
            found[stage].append((instruction, words))
        return found

    def last(self, instruction: str) -> str:
        """What an instruction says in the end, in the stage that becomes the image."""
        return [words for name, words in self.stages["runtime"] if name == instruction][-1]

    @cached_property
    def arguments(self) -> dict[str, str]:
        """Defaults of build arguments."""
        words = [w for stage in self.stages.values() for name, w in stage if name == "ARG"]
        return dict(word.split("=", 1) for word in words if "=" in word)

    def assigned(self, instruction: str) -> dict[str, str]:
        """What ENV or LABEL set in the stage that becomes the image."""
        words = " ".join(w for name, w in self.stages["runtime"] if name == instruction)
        return {
            name: value.strip('"') for name, value in re.findall(r'([\w.]+)=("[^"]*"|\S+)', words)
        }


@pytest.fixture(scope="session")
def compose(root: Path) -> ComposeFile:
    return ComposeFile((root / "compose.yaml").read_text())


@pytest.fixture(scope="session")
def gpu(root: Path) -> ComposeFile:
    return ComposeFile((root / "compose.gpu.yaml").read_text())


@pytest.fixture(scope="session")
def dockerfiles(root: Path) -> dict[str, Dockerfile]:
    names = ("Dockerfile", "engine-cuda.Dockerfile")
    return {name: Dockerfile((root / "docker" / name).read_text()) for name in names}


@pytest.fixture(scope="session")
def version(root: Path) -> str:
    """The version of this checkout."""
    project = tomllib.loads((root / "packages/core/pyproject.toml").read_text())["project"]
    return str(project["version"])
