"""The wheels that install `bedside bundle` on a machine without an index.

Tested in tests/bundle/test_create.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bedside_core.errors import ArtifactError

OURS = ("packages/core", "packages/bundle")
LOCK = "requirements/core.lock"
"""Loading needs nothing but the core's packages: the extra `create` stays behind."""


def collect(checkout: Path, target: Path) -> None:
    """Build our wheels and fetch the hash-locked ones of other people into `target`.

    uv builds without network (its build backend is built in); pip honours a site's own index.

    Raises:
        ArtifactError: a tool is missing or failed.
    """
    for package in OURS:
        _run("uv", "build", "--quiet", "--wheel", "--out-dir", str(target), str(checkout / package))
    _run("pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--only-binary", ":all:", "--require-hashes", "--dest", str(target),
         "--requirement", str(checkout / LOCK))  # fmt: skip
    for other in target.iterdir():
        if other.suffix != ".whl":  # uv leaves a .gitignore
            other.unlink()


def _run(tool: str, *arguments: str) -> None:
    environments = Path(os.environ.get("BEDSIDE_ENVS", ".venvs"))
    path = shutil.which(tool, path=environments.absolute() / "uv" / "bin")
    if path is None:
        raise ArtifactError(f"no {tool} in {environments}/uv - run `make setup` first")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise ArtifactError(
            f"{tool} {arguments[0]} failed: {lines[-1][:500]} - is a package index reachable?"
        )
