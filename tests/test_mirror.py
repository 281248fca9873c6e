"""Whoever opens a module finds its test: at the same place under `tests`, or where it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = [
    path
    for package in (*(ROOT / "packages").iterdir(), *(ROOT / "services").iterdir())
    for path in sorted((package / "src").rglob("*.py"))
    if path.name != "__init__.py"
]
ELSEWHERE = re.compile(r"Tested in (tests/\S+(?:, tests/\S+)*)\.")


def of_its_own_name(module: Path) -> Path:
    """`services/eval/src/bedside_eval/a/b.py` is tested in `tests/eval/a/test_b.py`."""
    _, service, _, _, *folders, name = module.relative_to(ROOT).parts
    return Path("tests", service, *folders, f"test_{name}")


def said_by(module: Path) -> list[Path]:
    """What the last line of the docstring names."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    said = ELSEWHERE.fullmatch(docstring.splitlines()[-1]) if docstring else None
    return [Path(path) for path in said[1].split(", ")] if said else []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_a_test(module: Path) -> None:
    own, named = of_its_own_name(module), said_by(module)
    if not named:
        assert (ROOT / own).is_file(), (
            f"no {own} - write it, or end the docstring with `Tested in tests/....`"
        )
    for path in named:
        assert (ROOT / path).is_file(), f"{path} is named, but is not there"
