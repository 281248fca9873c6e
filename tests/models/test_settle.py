"""The threads' policy is set by verbs before torch is imported, and by no import of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

IMPORTS = ("bedside_models.settle", "bedside_models.scores", "bedside_trainer.cli",
           "bedside_merger.cli", "bedside_eval.cli")  # fmt: skip


def test_an_import_changes_no_environment_and_loads_nothing_heavy() -> None:
    program = (
        "import os, sys; before = dict(os.environ)\n"
        f"import {', '.join(IMPORTS)}\n"
        "assert dict(os.environ) == before\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# The first import of torch ends the process: 0 if the policy is set by then.
WATCH = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            os._exit(0 if os.environ.get("OMP_WAIT_POLICY") == {policy!r} else 9)
sys.meta_path.insert(0, Watch())
from bedside_core.cli import main
main({words!r})
"""


@pytest.mark.parametrize("policy", [None, "active"])
@pytest.mark.parametrize("verb", ["trainer run", "merger run", "eval run", "trainer import-base"])
def test_a_verb_sets_it_before_torch(verb: str, policy: str | None, adapted: Path) -> None:
    words = [*verb.split(), "--config", str(adapted / "again.yaml")]
    program = WATCH.format(policy=policy or "passive", words=words)
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    environment |= {"BEDSIDE_HOME": str(adapted / "home")}
    environment |= {"OMP_WAIT_POLICY": policy} if policy else {}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((adapted / "again.yaml").read_text())["name"] == "one"
