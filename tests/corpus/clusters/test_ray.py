"""Under Ray with two workers: the same bytes, over the loopback address, without statistics."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Never

import pytest

from bedside_core.errors import ConfigError
from bedside_corpus.engine.ray import check_fits

PYTHON = Path(__file__).parents[3] / ".venvs/ray/bin/python"
HERE = ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]")


@pytest.fixture
def ray(absent: Callable[[str, str], Never]) -> dict[str, Any]:
    """Settings of two tasks at once."""
    if not PYTHON.exists():
        absent("RAY", "no environment with Ray - bash scripts/setup.sh ray")
    return {"python": PYTHON, "kind": "ray", "workers": 2, "mem_per_cpu_gb": 0.25}


def listening(session: int) -> Iterator[str]:
    """Addresses on which the processes of Ray listen."""
    said = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    for line in said.splitlines():
        if any(name in line for name in ("gcs_server", "raylet", "ray::", "python")):
            pids = [int(part.split(",")[0]) for part in line.split("pid=")[1:]]
            if any(session in ancestors(pid) for pid in pids):
                yield line.split()[3].rpartition(":")[0]


def ancestors(pid: int) -> Iterator[int]:
    """A process, its parent, and so on."""
    while pid > 1:
        yield pid
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return
        pid = int(stat.rpartition(")")[2].split()[1])


@pytest.mark.timeout(180)
def test_two_workers_build_the_same_corpus_and_nobody_else_reaches_them(
    ray: dict[str, Any], cluster: Callable[..., Any], expected: dict[str, str]
) -> None:
    build = cluster(**ray)
    found: set[str] = set()
    with build.start() as process:
        while process.poll() is None:
            found.update(listening(process.pid))
        said = process.stderr.read()
    assert process.returncode == 0, said
    assert build.made() == expected
    assert found, "no socket of Ray was seen"
    assert found <= set(HERE), found


@pytest.mark.timeout(180)
def test_what_a_step_says_is_what_the_user_reads(
    ray: dict[str, Any], cluster: Callable[..., Any], tmp_path: Path
) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "a.jsonl").write_text(json.dumps({"body": "Ein Kanarienvogel."}) + "\n")
    code, said = cluster(sources=sources, **ray).build()
    assert code == 3
    assert f"bedside: {sources}/a.jsonl: no field 'text'; its fields: body" in said
    assert "Kanarienvogel" not in said


def test_a_task_that_no_machine_can_run_is_an_error_of_the_settings() -> None:
    nodes = [{"CPU": 8.0, "memory": 2.0**30}, {"CPU": 1.0, "memory": 2.0**40}]
    check_fits({"num_cpus": 1, "memory": 2**40}, nodes)
    with pytest.raises(ConfigError, match="no machine of the Ray cluster has 2 cores and 2 GiB"):
        check_fits({"num_cpus": 2, "memory": 2**31}, nodes)


def test_without_ray_the_error_says_where_it_is(cluster: Callable[..., Any]) -> None:
    code, said = cluster(kind="ray").build()
    assert code == 2
    assert "this environment has no Ray - run `bash scripts/setup.sh ray`" in said
