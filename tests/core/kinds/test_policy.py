from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bedside_core.errors import ConfigError
from bedside_core.kinds.measures import ACCURACIES, LIKELIHOOD
from bedside_core.kinds.policy import Policy, read_policy

POLICIES = sorted((Path(__file__).parents[3] / "configs" / "policies").glob("*.yaml"))


def content(**changes: Any) -> dict[str, Any]:
    return {
        "name": "test",
        "target": {"of": "medical", "min_gain": 0.0, "max_loss": 0.02},
        "guards": [{"of": "general", "max_loss": 0.05}],
        "tail": {"delta": 0.05, "max_share": 0.2},
        "min_clusters": 14,
        "confidence": 0.95,
    } | changes


def write(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump(content(**changes)))
    return path


def test_equal_policies_have_one_hash_whatever_their_spelling(tmp_path: Path) -> None:
    plain = read_policy(write(tmp_path / "a.yaml"))
    spelt = read_policy(write(tmp_path / "b.yaml", looks=1, scope="house", confidence=0.950))

    assert plain.sha256 == spelt.sha256
    assert plain.sha256 != read_policy(write(tmp_path / "c.yaml", max_age_days=30)).sha256


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"confidence": 0.501}, "confidence"),
        ({"guards": []}, "guards"),
        ({"guards": [{"of": "general", "max_loss": 1e9}]}, "max_loss"),
        ({"guards": [{"of": "medical", "max_loss": 0.05}]}, "each measure of a set once"),
        ({"guards": [{"of": "general", "max_loss": 0.05, "floor": 0.3}]}, "floor"),
        ({"min_clusters": 13}, "needs 14 clusters"),
        ({"looks": 4}, "needs 20 clusters"),
        ({"confidence": 0.9999}, "an error of 0.0001"),
        ({"min_gain": 0.0}, "min_gain"),
    ],
)
def test_a_policy_without_teeth_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        read_policy(write(tmp_path / "policy.yaml", **changes))


def test_a_measure_that_nobody_takes_may_be_asked_for(tmp_path: Path) -> None:
    guards = [
        {"measure": "win_rate", "of": "letters", "max_loss": 0.05},
        {"measure": "accuracy", "of": "knowledge", "max_loss": 0.05, "floor": 0.3},
        {"measure": "accuracy_norm", "of": "knowledge", "max_loss": 0.05},
    ]
    policy = read_policy(write(tmp_path / "policy.yaml", guards=guards))

    assert policy.sets([LIKELIHOOD]) == ["medical"]
    assert policy.sets(ACCURACIES) == ["knowledge"]
    assert policy.alpha == pytest.approx(0.05)


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_the_policies_that_come_along_are_valid(path: Path) -> None:
    policy = read_policy(path)

    assert isinstance(policy, Policy)
    assert policy.name == path.stem
