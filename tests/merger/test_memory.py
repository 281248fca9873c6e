"""Out of core: two models of a twentieth of a 7B merge within a twentieth of 8 GB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

LIMIT = (8 << 30) // 20


def test_a_merge_holds_tensors_and_no_models(root: Path, tmp_path: Path) -> None:
    """By the bench, as a process of its own; what the libraries take alone does not count."""
    results = tmp_path / "results.json"
    command = [sys.executable, root / "bench/merger/merge.py", "--shape", "twentieth", "--ours"]
    subprocess.run(
        [*command, "--folder", tmp_path, "--results", results], check=True,
        capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    found = json.loads(results.read_text())
    assert found["parameters"] > 7.2e9 / 20
    (ours,) = found["ours"]
    assert ours["peak_bytes"] - ours["libraries_bytes"] < LIMIT
    assert found["output_bytes"] > LIMIT
