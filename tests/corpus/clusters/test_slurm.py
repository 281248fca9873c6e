"""Under real Slurm: the same bytes, an error that names the log, and nothing that is done twice."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedside_core.errors import InputError
from bedside_corpus.config import Executor
from bedside_corpus.engine.build import run_task
from bedside_corpus.engine.slurm import SlurmExecutor


def reading(room: Path) -> str:
    """The name of a build's first job."""
    return SlurmExecutor(Executor(), room, "read", ranks=1).job_name


def queued(name: str, *options: str) -> list[str]:
    """The job of each task of this name that is not over, or with `--states=all` of each at all."""
    command = ["squeue", "--noheader", "--array", f"--name={name}", "--format=%F", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def tasks(name: str) -> Counter[str]:
    """Tasks by the jobs of this name, all that Slurm remembers."""
    return Counter(queued(name, "--states=all"))


def killed(build: Any, read: int) -> Path:
    """Begin a build and kill it when so many of its shards are read; its room."""
    with build.start() as process:
        until = time.monotonic() + 60
        while len(done := list(build.home.glob("work/*/read/completions/*"))) < read:
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    return done[0].parents[2]


@pytest.mark.timeout(120)
def test_a_job_array_builds_the_same_corpus(
    slurm: dict[str, Any], cluster: Callable[..., Any], expected: dict[str, str]
) -> None:
    build = cluster(**slurm, max_array_size=2)
    code, said = build.build()
    assert code == 0, said
    assert build.made() == expected
    assert list(build.home.glob("work/*")) == []


@pytest.mark.timeout(120)
def test_a_task_that_fails_ends_the_build_and_names_its_log(
    slurm: dict[str, Any], cluster: Callable[..., Any], tmp_path: Path
) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "a.jsonl").write_text(json.dumps({"body": "Ein Kanarienvogel."}) + "\n")
    build = cluster(sources=sources, **slurm)
    code, said = build.build()
    assert code == 3
    (log,) = build.home.glob("work/*/read/slurm_logs/*.out")
    assert f"ended as FAILED (log: {log}): " in said
    assert "no field 'text'; its fields: body - set fields.text" in said
    assert "Kanarienvogel" not in said + log.read_text()


@pytest.mark.timeout(120)
def test_after_a_kill_its_job_is_waited_for_and_only_what_is_not_done_submitted(
    slurm: dict[str, Any], cluster: Callable[..., Any], expected: dict[str, str]
) -> None:
    build = cluster(**slurm, workers=1)
    room = killed(build, 1)
    assert killed(build, 2) == room  # the job of the first build went on, watched by the second
    ((first, of),) = tasks(reading(room)).items()
    assert of == 4
    subprocess.run(["scancel", first], check=True)
    until = time.monotonic() + 30
    while queued(reading(room)):
        assert time.monotonic() < until
        time.sleep(0.1)
    done = len(list((room / "read/completions").iterdir()))
    assert 2 <= done < 4
    assert build.build()[0] == 0
    (second,) = set(tasks(reading(room))) - {first}
    assert tasks(reading(room))[second] == 4 - done
    assert build.made() == expected


def test_a_job_that_slurm_refuses_is_an_error_of_the_settings(
    slurm: dict[str, Any], cluster: Callable[..., Any]
) -> None:
    code, said = cluster(**slurm | {"partition": "none"}).build()
    assert code == 2
    assert "corpus.executor: Slurm refuses the job" in said
    assert "invalid partition" in said.lower()


@pytest.mark.parametrize("task", ["0", "x"])
def test_the_verb_without_a_build_is_an_error(tmp_path: Path, task: str) -> None:
    with pytest.raises(InputError, match=f"has no task {task}"):
        run_task(tmp_path, "read", task)
