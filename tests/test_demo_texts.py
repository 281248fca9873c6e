"""The demo's held-out texts: enough of them, and each one a cluster of its own."""

from pathlib import Path

import pytest

from bedside_core.heldout import read_heldout
from bedside_core.kinds.policy import read_policy
from bedside_core.matching import canonical
from bedside_core.overlap import OverlapIndex
from bedside_core.parts import planned_set, split

DEMO = Path(__file__).parents[1] / "demo"
SETS = sorted(p for p in (DEMO / "heldout").iterdir() if p.is_dir())
ENOUGH = 8 + 16
"""Clusters for development and sealed ones (policy `demo`: at least 14 sealed)."""


def read(folder: Path) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.txt"))]


@pytest.mark.parametrize("folder", SETS, ids=lambda p: p.name)
def test_each_set_has_enough_texts(folder):
    assert len(read(folder)) >= ENOUGH


def test_the_demos_policy_is_for_these_texts_alone():
    """After a changed text, the digests that this test shows belong into the policy."""
    sets = {f"heldout/{folder.name}": read_heldout(folder) for folder in SETS}
    parts = split(sets)
    found = {name: planned_set("heldout", part) for name, part in parts.items()}
    policy = read_policy(DEMO.parent / "configs" / "policies" / "demo.yaml")
    assert policy.only_for == {name: planned.sha256 for name, planned in found.items()}
    assert all(planned.clusters >= 16 for planned in found.values())


def test_no_text_shares_more_than_a_phrase_with_another_or_with_a_training_document():
    heldout = read(DEMO / "heldout")
    index = OverlapIndex(heldout)
    others = [index.look_up(canonical(text)).shares for text in heldout + read(DEMO / "documents")]
    for number, shares in enumerate(others[: len(heldout)]):
        assert shares.pop(number) == 1
    assert max(share for shares in others for share in shares.values()) < 0.1
