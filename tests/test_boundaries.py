"""The house rules that no single service can check: imports, options, length of functions."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from bedside_core.arguments import parser_of
from bedside_core.commands import Command, Group, Node
from bedside_core.dispatch import installed

ROOT = Path(__file__).parent.parent
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if path.is_dir())
PACKAGES = {f"services/{name}": f"bedside_{name}" for name in SERVICES} | {
    "packages/core": "bedside_core",
    "packages/models": "bedside_models",
    "packages/bundle": "bedside_bundle",
}
# A Config is a pydantic class, so pydantic is part of what bedside_core offers.
COMES_WITH_CORE = {"pydantic"}
SHARED = {"bedside_core", "bedside_models"}
"""What services may import besides themselves; core imports nothing of the house."""
OPERATED = {"inference", "registry"}
"""Services with verbs for operators, whose arguments are no settings of a run."""
MAX_FUNCTION_LINES = 120


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder / "src").rglob("*.py"))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Top-level names of every import, wherever in the file it stands; relative ones are own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0], node.lineno


def normalised(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def declared(folder: str) -> set[str]:
    """Distributions that a pyproject.toml names, extras included."""
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    requirements = [*project["dependencies"], *(r for extra in extras for r in extra)]
    return {normalised(re.split(r"[\s<>=!~\[;]", r, maxsplit=1)[0]) for r in requirements}


@pytest.mark.parametrize("folder", sorted(PACKAGES))
def test_imports_are_declared_and_stay_in_the_house(folder: str) -> None:
    own = PACKAGES[folder]
    allowed = declared(folder) | COMES_WITH_CORE
    distributions = packages_distributions()
    wrong = []
    for path in sources(folder):
        for name, line in imported(parse(path)):
            if name in sys.stdlib_module_names or name == own:
                continue
            owners = {normalised(d) for d in distributions.get(name, [name])}
            if not owners & allowed:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert wrong == []


@pytest.mark.parametrize("folder", sorted(PACKAGES))
def test_no_service_imports_another(folder: str) -> None:
    """Holds even if a service declared another as its dependency."""
    others = set(PACKAGES.values()) - {PACKAGES[folder], *SHARED}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources(folder)
        for name, line in imported(parse(path))
        if name in others
    ]
    assert wrong == []


def test_core_stays_without_torch_and_without_the_house() -> None:
    heavy = {"bedside_models", "torch", "transformers", "numpy", "safetensors"}
    found = {name for path in sources("packages/core") for name, _ in imported(parse(path))}
    assert found & heavy == set()


def test_every_service_is_looked_at() -> None:
    assert set(SERVICES) >= {"corpus", "trainer", "merger", "eval", "inference"}
    for folder in PACKAGES:
        assert sources(folder), folder


def verbs(nodes: tuple[Node, ...], *path: str) -> Iterator[tuple[tuple[str, ...], Command]]:
    for node in nodes:
        if isinstance(node, Group):
            yield from verbs(node.commands, *path, node.verb)
        else:
            yield (*path, node.verb), node


def test_only_an_operators_verbs_have_options_of_their_own() -> None:
    """A setting lives in the run config; docs/decisions/0009 says what may be an option."""
    found = [verb for name, e in installed().items() for verb in verbs(e.load(), name)]
    assert {("registry", "list"), ("adapt", "adapt")} <= {path for path, _ in found}
    for path, command in found:
        options = {o for a in parser_of(path, command)._actions for o in a.option_strings}
        own = set(command.arguments.model_fields) if command.arguments else set()
        assert path[0] in OPERATED or not own, path
        settings = set(command.config.model_fields) if command.config else set()
        assert own & settings == set(), path
        known = {"-h", "--help", "--config", "--set"}
        assert options <= known | {f"--{name.replace('_', '-')}" for name in own}, path


@pytest.mark.parametrize("folder", sorted(PACKAGES))
def test_no_long_function(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {length} lines"
        for path in sources(folder)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert wrong == []
