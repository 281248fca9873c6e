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
OPERATED = {"bundle", "inference", "registry"}
"""Services with verbs for operators, whose arguments are no settings of a run."""
WITHOUT_RUN = {
    *(("corpus", verb) for verb in ("agreement", "passport", "review", "screen-exam", "why")),
    *(("eval", verb) for verb in ("check-exam", "compare", "import-exam", "reanalyse")),
    ("trainer", "selftest"),
}
"""Verbs of other services that need no run config: their options are all they have."""
QUESTIONS = {
    *(("eval", verb) for verb in ("report", "blind-form", "read-forms")),
    ("trainer", "plan"),
}
"""Verbs with a run config that are asked about what no run has: the reader's language and folder,
what people wrote, hardware of another house."""
MAX_FUNCTION_LINES = 120
MAX_SWALLOWED = 0.2
"""Broad exceptions that are not raised on, per 1,000 lines of source."""

# From the ground up: a part of the inference service imports its own modules and lower floors.
FLOORS = (
    {"urls", "names", "served", "secret", "probe", "background", "children"},
    {"config"},
    {"principal", "paths"},
    {"state", "audit", "engine", "reported"},
    {"keys", "persons"},
    {"gateway.errors", "gateway.page"},
    {
        *("gateway.connection", "gateway.deadline", "gateway.drain", "gateway.seats"),
        *("gateway.aside", "gateway.engines", "gateway.api"),
    },
    {"gateway.access", "gateway.exchange"},
    {"gateway.telemetry", "gateway.handlers", "gateway.dispatch"},
    {"gateway.envelope", "gateway.relay"},
    {"gateway.app", "gateway.protocol"},
    {"gateway.server"},
    {"aliases", "bulk", "chat", "check", "health", "run", "selftest"},
    {"models"},
    {"operators"},
    {"cli"},
)
NEVER = (
    ("gateway.relay", "gateway.app"),
    ("gateway.telemetry", "gateway.app"),
    ("gateway.exchange", "gateway.telemetry"),
    ("gateway", "engine"),
    ("engine", "gateway"),
    ("engine", "state"),
    ("audit.verify", "audit.chain"),
    ("audit.syslog", "audit.chain"),
)
"""What the first must not reach in any number of steps, in the inference service."""


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


@pytest.mark.parametrize("service", ["trainer", "merger"])
def test_a_sealed_text_cannot_be_read_where_models_are_made(service: str) -> None:
    """Held-out texts reach them as the artifact of the development parts, never as a folder.

    That their settings name no folder is in tests/core/test_preflight.py, that their containers
    have none in tests/docker/test_compose_file.py and tests/helm/test_adapt.py.
    """
    readers = {"heldout", "kinds.exam", "parts", "clusters"}
    found = {
        alias.name
        for path in sources(f"services/{service}")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").removeprefix("bedside_core.") in readers
        for alias in node.names
    }
    assert found <= {"HeldoutText", "ChoiceItem"}  # records; who reads them is named above


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
        assert path[0] in OPERATED or path in WITHOUT_RUN | QUESTIONS or not own, path
        assert command.config is None or path not in WITHOUT_RUN, path
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


def modules_of(folder: str) -> dict[str, Path]:
    """Modules of a package by their full names."""
    root = ROOT / folder / "src"
    names = ((path, path.relative_to(root).with_suffix("").parts) for path in sources(folder))
    return {
        ".".join(parts[:-1] if parts[-1] == "__init__" else parts): path for path, parts in names
    }


def arrows(folder: str) -> dict[str, set[str]]:
    """Which modules of its own each module imports, for types and within functions too."""
    modules = modules_of(folder)
    found: dict[str, set[str]] = {}
    for name, path in modules.items():
        targets: set[str] = set()
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                targets |= whole & set(modules) or {node.module}
        found[name] = targets & set(modules) - {name}
    return found


def reached(graph: dict[str, set[str]], start: str) -> set[str]:
    """All that a module imports, over any number of steps."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for module in graph[waiting.pop()] - seen:
            seen.add(module)
            waiting.append(module)
    return seen


@pytest.mark.parametrize("folder", sorted(PACKAGES))
def test_no_modules_import_each_other_in_a_circle(folder: str) -> None:
    """For types only, a circle still means that neither can be understood without the other."""
    graph = arrows(folder)
    assert [module for module in graph if module in reached(graph, module)] == []


def part(module: str) -> str:
    """The part of the inference service that a module belongs to: a folder or a single module."""
    names = module.split(".")[1:]
    return ".".join(names[:2] if names[:1] == ["gateway"] else names[:1])


def test_nothing_imports_upwards() -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    graph = arrows("services/inference")
    assert {part(module) for module in graph} - floor.keys() - {"", "gateway"} == set()
    wrong = []
    for module, targets in graph.items():
        for target in targets:
            here, there = part(module), part(target)
            if here != there and floor[here] <= floor[there]:
                wrong.append(f"{module} imports {target}")
    assert wrong == []


@pytest.mark.parametrize(("here", "there"), NEVER)
def test_never(here: str, there: str) -> None:
    graph = arrows("services/inference")

    def within(module: str, part: str) -> bool:
        return f"{module}.".startswith(f"bedside_inference.{part}.")

    starts = [module for module in graph if within(module, here)]
    assert starts
    for start in starts:
        assert [module for module in reached(graph, start) if within(module, there)] == []


def swallowed(path: Path) -> Iterator[int]:
    """Lines of broad handlers that do not raise."""
    for node in ast.walk(parse(path)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = {name.id for name in ast.walk(node.type or node) if isinstance(name, ast.Name)}
        broad = node.type is None or caught & {"Exception", "BaseException"}
        if broad and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node)):
            yield node.lineno


def test_broad_exceptions_are_few_and_argued() -> None:
    """What they swallow must be logged or counted where somebody sees it; the reason says how."""
    lines, found = 0, []
    for folder in PACKAGES:
        for path in sources(folder):
            text = path.read_text(encoding="utf-8").splitlines()
            lines += len(text)
            for number in swallowed(path):
                found.append(f"{path.relative_to(ROOT)}:{number}")
                assert "#" in text[number - 1], f"{found[-1]} gives no reason"
    assert len(found) <= MAX_SWALLOWED * lines / 1000, found
