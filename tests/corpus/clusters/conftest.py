"""One build of four shards, and what it gives on this machine: the same must come from a cluster.

Slurm is Debian's (`slurm-wlm`, `munge`, and root to start them), started by `.ci/slurm`; Ray has an
environment of its own (`bash scripts/setup.sh ray`). Where one is absent its tests are skipped,
with BEDSIDE_REQUIRE_SLURM=1 or BEDSIDE_REQUIRE_RAY=1 they fail.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Never

import pytest
import yaml

from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
from bedside_core import cli
from bedside_corpus.engine import build, shards
build.divide = lambda files: shards.divide(files, 8000)
sys.exit(cli.main(["corpus", "build", "--config", sys.argv[1]]))
"""
WORDS = "Der Patient erhält Ramipril bei Hypertonie und das EKG war unauffällig".split()


class Cluster:
    """Builds with one executor, in a home of its own."""

    def __init__(
        self, folder: Path, sources: Path, python: Path | str, executor: dict[str, Any]
    ) -> None:
        self.home, self.python = folder / "home", python
        self.environment = os.environ | {"BEDSIDE_HOME": str(self.home)}
        self.config = folder / "run.yaml"
        source = {"name": "s", "path": str(sources), "format": "jsonl", "licence": "CC0-1.0",
                  "personal_data": "none"}  # fmt: skip
        corpus = {"language": "de", "sources": [source], "executor": executor}
        self.config.write_text(yaml.safe_dump({"name": "test", "corpus": corpus}))
        found(Registry(self.home))

    def start(self) -> subprocess.Popen[str]:
        """Begin a build."""
        command = [str(self.python), "-c", PROGRAM, str(self.config)]
        return subprocess.Popen(command, env=self.environment, stderr=subprocess.PIPE, text=True)

    def build(self) -> tuple[int, str]:
        """Exit code and what was said to the user."""
        with self.start() as process:
            _, said = process.communicate()
        return process.returncode, said

    def made(self) -> dict[str, str]:
        """The hash of each file of the corpus."""
        manifest = Registry(self.home).get("test/corpus").manifest
        return {entry.path: entry.sha256 for entry in manifest.files}


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files, each of two shards, that repeat texts and ids of each other."""
    folder = tmp_path_factory.mktemp("sources")
    for number in range(2):
        lines = [
            {"text": " ".join(WORDS[n % 5 :] * (1 + n % 3) + [f"{n}"]), "id": n % 25}
            for n in range(40 * number, 40 * number + 80)
        ]  # fmt: skip
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{number}.jsonl").write_text(text)
    return folder


@pytest.fixture(scope="session")
def expected(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a build of this machine makes."""
    local = Cluster(tmp_path_factory.mktemp("local"), sources, sys.executable, {"workers": 1})
    assert local.build()[0] == 0
    assert sum(path.startswith("data/") for path in local.made()) == 4
    return local.made()


@pytest.fixture(scope="session")
def absent() -> Callable[[str, str], Never]:
    """Skip for want of a program, or fail where it is required."""

    def absent(name: str, what: str) -> Never:
        if os.environ.get(f"BEDSIDE_REQUIRE_{name}") == "1":
            pytest.fail(what)
        pytest.skip(what)

    return absent


@pytest.fixture
def cluster(tmp_path: Path, sources: Path) -> Callable[..., Cluster]:
    """A build with an executor."""
    return lambda python=sys.executable, sources=sources, **executor: Cluster(
        tmp_path, sources, python, executor
    )


@pytest.fixture(scope="session")
def slurm(
    tmp_path_factory: pytest.TempPathFactory, absent: Callable[[str, str], Never]
) -> Iterator[dict[str, Any]]:
    """A cluster of this machine while the tests run; the settings that lead there."""
    if not Path("/usr/sbin/slurmctld").exists() or not Path("/usr/sbin/munged").exists():
        absent("SLURM", "no Slurm - apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        absent("SLURM", "munged and slurmd want root")
    folder = tmp_path_factory.mktemp("slurm")
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    try:
        subprocess.run([ROOT / ".ci/slurm", "start", folder], check=True)
        yield {"kind": "slurm", "partition": "test", "time": "00:10:00", "mem_per_cpu_gb": 0.5}
    finally:
        subprocess.run([ROOT / ".ci/slurm", "stop", folder], check=True)
        del os.environ["SLURM_CONF"]
