"""Workers end with whoever started them, and one that is killed is said, not waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
from bedside_core.errors import InputError
from bedside_corpus.config import CorpusConfig
from bedside_corpus.engine import build, shards
from bedside_corpus.sources import SourceFile
here = Path(sys.argv[1])
source = {"name": "s", "path": here, "format": "jsonl", "personal_data": "none"}
values = {"language": "de", "sources": [source], "executor": {"workers": 2}}
config = CorpusConfig.model_validate(values)
files = [SourceFile(config.sources[0], here / name, name) for name in ("a.jsonl", "b.jsonl")]
build.divide = lambda found: [shards.Shard((file,), 1) for file in found]
try:
    build.run_stages(config, files, here / "room")
except InputError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[1]) == parent and after_name[0] != "Z":
            found.append(int(path.parent.name))
    return found


def workers_of(process: int) -> list[int]:
    """Those of the fork server, which is the child that has children."""
    return [worker for child in children(process) for worker in children(child)]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("victim", ["worker", "build"])
def test_no_worker_is_left_and_nobody_waits_for_one(tmp_path: Path, victim: str) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        os.mkfifo(tmp_path / name)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as build,
        # Opening waits for the reader; then both workers read what never comes.
        (tmp_path / "a.jsonl").open("wb"),
        (tmp_path / "b.jsonl").open("wb"),
    ):
        workers = workers_of(build.pid)
        assert len(workers) == 2
        os.kill(workers[0] if victim == "worker" else build.pid, signal.SIGKILL)
        said, _ = build.communicate(timeout=60)
        until = time.monotonic() + 60
        while not all(map(gone, workers)) and time.monotonic() < until:
            time.sleep(0.05)
        assert all(map(gone, workers))
    if victim == "worker":
        assert build.returncode == 3
        assert "a worker was killed" in said and "corpus.executor.workers lower" in said
