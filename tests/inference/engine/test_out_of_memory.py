"""The main module as it is, with a server of ours that starts a child and fails as vLLM's does."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bedside_inference.engine.out_of_memory import FAILED, NO_ROOM
from bedside_inference.served import VARIABLE, ServedModel

ROOT = Path(__file__).parents[3]
SERVER = """
import multiprocessing, sys
from vllm.core import work
spawn = multiprocessing.get_context("spawn")
child = spawn.Process(target=work, args=(sys.argv[-1],), name="EngineCore")
child.start()
child.join()
# As vLLM: often it raises before it knows of what the child ended.
known = {"EngineCore": child.exitcode} if sys.argv[-1] == "killed" else {}
raise RuntimeError(f"Engine core initialization failed. Failed core proc(s): {known}")
"""
CORE = """
import os, signal
class OutOfMemoryError(RuntimeError): pass
def work(how):
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise {
        "python": MemoryError(),
        "cuda": OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        "cache": ValueError("No available memory for the cache blocks. Try"),
        "worker": RuntimeError("Worker failed: allocation is less than requested memory for kv"),
        "other": ValueError("a canary"),
    }[how]
"""


@pytest.fixture
def fail(tmp_path):
    package = tmp_path / "site" / "vllm"
    (package / "entrypoints" / "openai").mkdir(parents=True)
    for folder in (package, package / "entrypoints", package / "entrypoints" / "openai"):
        (folder / "__init__.py").touch()
    (package / "entrypoints" / "openai" / "api_server.py").write_text(SERVER)
    (package / "core.py").write_text(CORE)
    served = ServedModel(
        model="a" * 64, created=datetime.now(UTC), evidence=None, verdict="UNPROVEN"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *sys.path]),
        "BEDSIDE_HOME": str(tmp_path / "home"),
        "BEDSIDE_PARENT_PID": str(os.getpid()),
        VARIABLE: served.model_dump_json(),
    }
    command = [sys.executable, "-P", "-m", "bedside_inference.engine.vllm_server"]

    def fail(how: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, "--model", str(tmp_path), how],
            env=environment,
            capture_output=True,
            text=True,
        )

    return fail


@pytest.mark.parametrize("how", ["python", "cuda", "cache", "worker", "killed"])
def test_it_is_exit_3_with_what_there_is_and_the_setting(fail, how) -> None:
    done = fail(how)
    assert done.returncode == 3, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("bedside: vLLM ran out of memory")
    assert "inference.engine.kv_cache_gib" in last


def test_another_failure_stays_one(fail) -> None:
    done = fail("other")
    assert done.returncode == 1
    assert "ran out of memory" not in done.stderr


def test_the_words_are_those_of_the_locked_vllm() -> None:
    found = sorted((ROOT / ".venvs/engine/lib").glob("python3*/site-packages/vllm/v1"))
    if not found:
        pytest.skip("needs the engine's environment")
    sources = [found[0] / "core/kv_cache_utils.py", found[0] / "worker/cpu_worker.py"]
    lines = [line for path in sources for line in path.read_text(encoding="utf-8").splitlines()]
    joined = "".join(line.strip().strip('f"') for line in lines)
    assert all(words in joined for words in NO_ROOM)
    assert FAILED in (found[0] / "engine/utils.py").read_text(encoding="utf-8")
