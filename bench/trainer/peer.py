"""TRL as it is published, over the libraries of this environment, for the benchmarks beside it."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

LOCK = Path(__file__).with_name("peers.lock")


def installed(directory: Path) -> Path:
    """Where TRL's modules are; installed if need be, from `peers.lock` (hashes, wheels only)."""
    if not (directory / "bin" / "pip").exists():
        venv.create(directory, with_pip=True)
    subprocess.run(
        [
            *(str(directory / "bin" / "pip"), "install", "--quiet", "--no-deps"),
            *("--require-hashes", "--only-binary", ":all:", "-r", str(LOCK)),
        ],
        check=True,
    )
    (packages,) = (directory / "lib").glob("python3*/site-packages")
    return packages


def version_in(packages: Path) -> str:
    """TRL's version."""
    (info,) = packages.glob("trl-*.dist-info")
    return info.name.removesuffix(".dist-info").removeprefix("trl-")
