"""The chain as docs/evidence.md has it verified: with openssl, jq and sed, without our code."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bedside_core.kinds.policy import Policy
from bedside_core.registry.house import rotate
from bedside_core.registry.registry import Registry

PAGE = Path(__file__).parents[3] / "docs/evidence.md"
COMPLAINTS = ("broken chain", "wrong signature")

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "openssl", "jq", "sed"))), reason="no openssl or jq"
)


def commands() -> str:
    """The indented block that ends with the pin."""
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    (block,) = (block for block in blocks if "done <log.jsonl" in block)
    return "\n".join(line[4:] for line in block.splitlines())


@pytest.fixture
def log(registry: Registry, tmp_path: Path) -> Path:
    """Of a house that approved a policy and rotated its operator key, in a folder of its own."""
    policy = Policy.model_validate(
        {
            "name": "p",
            "target": {"of": "a", "min_gain": 0, "max_loss": 0.1},
            "guards": [{"of": "b", "max_loss": 0.1}],
            "tail": {"delta": 0.1, "max_share": 0.4},
            "min_clusters": 8,
            "confidence": 0.95,
        }
    )
    registry.approve(policy, 'quoted: "x", ä')
    rotate(registry, "operator", "yearly", lost=False)
    registry.approve(policy.model_copy(update={"name": "q"}), "consent of the board")
    copy = tmp_path / "copy/log.jsonl"
    copy.parent.mkdir()
    shutil.copy(registry.log.path, copy)
    return copy


def verify(log: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", commands()], cwd=log.parent, capture_output=True, text=True, timeout=60
    )
    return done.stdout


def test_an_intact_chain_ends_with_the_pin(log, registry):
    said = verify(log)
    assert not any(words in said for words in COMPLAINTS)
    assert [line.split()[2] for line in said.splitlines()[:-1]] == [
        "keys", "approve-policy", "keys", "approve-policy",
    ]  # fmt: skip
    assert said.splitlines()[-1].split()[0] == registry.pin.read()


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0].replace(b'"reason":"first', b'"reason":"First'), *lines[1:]],
        lambda lines: [lines[0], lines[2], lines[1], lines[3]],
        lambda lines: [*lines[:1], *lines[2:]],
        lambda lines: [*lines[:3], lines[3].replace(b"consent", b"Consent")],
    ],
    ids=["edited", "swapped", "removed", "edited at the end"],
)
def test_a_changed_chain_is_found(log, change):
    lines = log.read_bytes().splitlines(keepends=True)
    changed = change(lines)
    assert changed != lines
    log.write_bytes(b"".join(changed))
    assert any(words in verify(log) for words in COMPLAINTS)
