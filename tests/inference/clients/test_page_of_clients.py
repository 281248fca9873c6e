"""docs/clients.md names the versions that the locks hold, and limits that are so."""

from __future__ import annotations

import json
import re
from pathlib import Path

from bedside_inference.config import AdmissionConfig, TimeoutsConfig

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "clients.md").read_text()
LOCKS = Path(__file__).with_name("locks")
PYTHON = (
    *("haystack-ai", "instructor", "langchain-openai", "litellm", "llm", "openai"),
    *("llama-index-llms-openai-like", "openai-agents", "pydantic-ai-slim"),
)
NPM = ("@ai-sdk/openai-compatible", "@langchain/openai", "ai", "openai")


def test_versions() -> None:
    locked = "".join(path.read_text() for path in LOCKS.glob("*.lock"))
    packages = json.loads((LOCKS / "package-lock.json").read_text())
    versions = [
        *((name, v) for name in PYTHON for v in re.findall(rf"^{name}==(\S+)", locked, re.M)),
        *((name, packages["packages"][f"node_modules/{name}"]["version"]) for name in NPM),
    ]
    assert len(versions) == len(PYTHON) + len(NPM) + 1  # two lines of openai
    for name, version in versions:
        lines = [line for line in PAGE.splitlines() if f"`{name}`" in line]
        assert any(version in line for line in lines), f"{name} {version}"


def test_no_lock_names_a_host() -> None:
    packages = json.loads((LOCKS / "package-lock.json").read_text())
    for name, package in packages["packages"].items():
        assert "resolved" not in package, name
        assert not name or package["integrity"].startswith("sha512-")
    for path in LOCKS.glob("*.lock"):
        text = path.read_text()
        assert "://" not in text
        pins = len(re.findall(r"^\S+==", text, re.M))
        assert pins == len(re.findall(r"^\S+==\S+.*\\\n    --hash=sha256:", text, re.M))


def test_how_long_a_request_may_be_silent() -> None:
    waits, timeouts = AdmissionConfig(), TimeoutsConfig()
    said = (waits.queue_timeout_seconds, timeouts.first_token, timeouts.answer)
    assert said == (60, 120, 600)
    for name, seconds in zip(("queue_timeout_seconds", "first_token", "answer"), said, strict=True):
        assert re.search(rf"{name}`[,)]?\s*\(?{seconds:g}\s+s", PAGE), name
