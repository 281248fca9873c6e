"""The measuring program runs, and every document of its memory test is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench/corpus/build.py"
PROGRAM = f"""
import sys
sys.path.insert(0, {str(BENCH.parent)!r})
import build
build.write_short(build.Path(sys.argv[1]), 50)
"""


def test_short_documents_are_all_kept(tmp_path: Path) -> None:
    source = tmp_path / "short.jsonl"
    subprocess.run([sys.executable, "-c", PROGRAM, source], check=True)
    command = [sys.executable, BENCH, "--run", "memory", source, tmp_path / "room"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    answer = json.loads(said.splitlines()[-1])
    assert answer["kept"] == 50
    assert answer["peak_megabytes"] > 0
