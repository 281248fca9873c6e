"""A corpus that does not fit into memory is exit 3, with what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry

PROGRAM = """
import resource, sys
from bedside_core import cli, memory
import bedside_corpus.engine.build, bedside_corpus.tally
size = memory._fields(memory.Path("/proc/self/status"))["VmSize"] * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + 60 * 2**20, resource.RLIM_INFINITY))
sys.exit(cli.main(["corpus", "build", "--config", sys.argv[1]]))
"""


def test_a_text_beyond_any_document_is_a_reason(build, letters, registry, tmp_path: Path) -> None:
    with (tmp_path / "letters/huge.txt").open("wb") as file:
        file.truncate(2**28)  # takes no space on the disk
    assert build(letters) == 0
    assert registry.get("test/corpus").manifest.facts["dropped"] == {"too_large": 1}


def test_a_text_that_is_larger_than_memory(tmp_path: Path) -> None:
    (tmp_path / "huge.txt").write_bytes(b"Der Patient. " * 2_000_000)  # 26 MB, not yet too_large
    source = {"name": "s", "path": str(tmp_path / "huge.txt"), "format": "text", "licence": "MIT",
              "personal_data": "none"}  # fmt: skip
    config = tmp_path / "run.yaml"
    corpus = {"language": "de", "sources": [source]}
    config.write_text(yaml.safe_dump({"name": "test", "corpus": corpus}))
    found(Registry(tmp_path / "home"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(config)],
        env=os.environ | {"BEDSIDE_HOME": str(tmp_path / "home")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "bedside: building the corpus ran out of memory (" in done.stderr
    assert "split the largest of corpus.sources" in done.stderr
    assert not (tmp_path / "home" / "artifacts").exists()
