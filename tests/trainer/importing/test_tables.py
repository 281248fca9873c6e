"""The tables of what later steps can do are what their libraries say today."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bedside_trainer.importing.conditions import table

ENVIRONMENTS = {"vllm": "engine", "mergekit": "merger"}
REQUIRED = bool(os.environ.get("BEDSIDE_REQUIRE_TABLES"))
"""Set in CI, where both environments are."""


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_table_is_current(name: str, root: Path) -> None:
    python = root / ".venvs" / ENVIRONMENTS[name] / "bin" / "python"
    if not python.exists() and not REQUIRED:
        pytest.skip(
            f"no environment {ENVIRONMENTS[name]}: bash scripts/setup.sh {python.parts[-3]}"
        )
    script = root / "scripts" / "later_steps.py"
    done = subprocess.run([python, script, name], capture_output=True, text=True, check=True)
    again: dict[str, Any] = json.loads(done.stdout)
    assert again == table(name), (
        f"`{python} {script} {name} >services/trainer/src/bedside_trainer/importing/tables/"
        f"{name}.json` makes it anew"
    )


def test_the_bases_of_the_papers_are_in_both() -> None:
    for name in ("Qwen2", "Qwen3", "Llama", "Mistral", "Gemma3"):
        assert f"{name}ForCausalLM" in table("vllm")["architectures"]
        assert f"{name}ForCausalLM" in table("mergekit")["architectures"]
