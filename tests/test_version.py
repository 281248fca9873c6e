"""One version everywhere: packages, images, chart, changelog."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import bedside_core

ROOT = Path(__file__).parent.parent
VERSION = bedside_core.__version__
DEFAULTS = {
    ".env.example": r"^#BEDSIDE_VERSION=(.+)$",
    "compose.yaml": r"\$\{BEDSIDE_VERSION:-([^}]+)\}",
    "compose.gpu.yaml": r"\$\{BEDSIDE_VERSION:-([^}]+)\}",
    "docker/Dockerfile": r"^ARG VERSION=(.+)$",
    "docker/engine-cuda.Dockerfile": r"^ARG VERSION=(.+)$",
    "docker/README.md": r"^\| `VERSION`, .* \| `([^`]+)`, empty \|",
}
RELEASE = re.compile(r"^## \[(.+)\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


PROJECTS = sorted(
    [*ROOT.glob("packages/*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml")]
)


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_packages(path: Path) -> None:
    assert tomllib.loads(path.read_text())["project"]["version"] == VERSION


@pytest.mark.parametrize("name", DEFAULTS)
def test_images(name: str) -> None:
    found = re.findall(DEFAULTS[name], (ROOT / name).read_text(), re.MULTILINE)
    assert set(found) == {VERSION}


def test_chart() -> None:
    chart = yaml.safe_load((ROOT / "helm/bedside/Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (VERSION, VERSION)


def test_changelog() -> None:
    """Keep a Changelog's form: what is not released, then dated versions, newest first."""
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[0] == "[Unreleased]"
    releases = RELEASE.findall(text)
    assert releases[0][0] == VERSION
    assert [date for _, date in releases] == sorted((date for _, date in releases), reverse=True)
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= KINDS
