"""Every reason that code can give is explained, once, and the README's table is that explanation.

`BEDSIDE_GOLDEN=1 pytest tests/corpus/test_reasons.py` writes the table.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import bedside_corpus
from bedside_corpus.reasons import REASONS, UNKNOWN, reason, table

SERVICE = Path(bedside_corpus.__file__).parent
README = Path(__file__).parents[2] / "services/corpus/README.md"
TABLE = re.compile(r"\| reason \| the record \|.*?\n\n", re.DOTALL)
NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")


def constants(node: ast.AST) -> Iterator[str]:
    """The texts that an expression may have: of `a if b else c` both, of `a or b` as well."""
    if isinstance(node, ast.IfExp):
        yield from (value for part in (node.body, node.orelse) for value in constants(part))
    elif isinstance(node, ast.BoolOp):
        yield from (value for part in node.values for value in constants(part))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def given() -> Iterator[str]:
    """The constants that are raised as a reason, or say why a record has no fields."""
    for path in SERVICE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                of = {"Dropped": 0, "UnreadableError": 0, "RawRecord": 3}.get(node.func.id)
                chosen = node.args[of : of + 1] if of is not None else []
                chosen += [word.value for word in node.keywords if word.arg == "damage"]
                yield from (value for argument in chosen for value in constants(argument))
            elif isinstance(node, ast.Constant) and str(node.value).startswith("quality_"):
                yield str(node.value)


def test_every_reason_in_the_code_is_explained() -> None:
    found = set(given()) - {""}
    assert {"malformed", "phi", "empty", "too_large", "quality_list", "encrypted"} <= found
    assert found <= REASONS.keys()


def test_explanations_fit_into_their_sentences() -> None:
    for name, one in REASONS.items():
        assert NAME.fullmatch(name)
        assert one.says and one.remedy
        assert not one.says.endswith(".") and "|" not in one.says + one.remedy
    assert reason("of_another_version") is UNKNOWN


def test_the_readme_has_the_table() -> None:
    text = README.read_text(encoding="utf-8")
    wanted = "\n".join(table()) + "\n\n"
    if os.environ.get("BEDSIDE_GOLDEN") == "1":
        README.write_text(TABLE.sub(lambda _: wanted, text), encoding="utf-8")
    else:
        assert TABLE.findall(text) == [wanted]
