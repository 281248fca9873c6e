"""`bedside eval rank` and `bedside eval trajectory`, on tiny real models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bedside_core.cli import main
from bedside_core.kinds.milestones import folder_of

from .conftest import add

World = Any


def verb(world: World, name: str, *words: str, **changes: Any) -> int:
    return main(["eval", name, "--config", world.config(**changes), *words])


def test_rank_looks_at_development_parts_alone(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.add_models()
    assert verb(world, "rank", "base", "checkpoint", "tiny/merged") == 0
    out = capfd.readouterr().out
    assert "all sets: 1 set(s), development parts" in out
    assert out.count("no information") == 3  # three items
    assert not world.registry.ledger().looks
    assert not world.registry.ledger().plans
    # A digest is a model's name, too; a group is ranked by its own sets.
    digest = world.registry.slot("tiny", "base")[:12]
    groups = {"g": {"medical": {"measure": "accuracy_norm"}}}
    assert verb(world, "rank", digest, "merged", groups=groups) == 0
    assert digest in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "groups", "code"),
    [
        (("base",), {}, 2),
        (("base", "base"), {}, 2),
        (("base", "checkpoint"), {"g": {"nowhere": {}}}, 2),
        (("base", "checkpoint"), {"g": {"medical": {"measure": "accuracy_generated"}}}, 3),
        (("base", "corpus"), {}, 3),
    ],
)
def test_what_cannot_be_ranked_is_refused(
    world: World, words: tuple[str, ...], groups: dict[str, Any], code: int
) -> None:
    world.add_models()
    assert verb(world, "rank", *words, groups=groups) == code


def test_trajectory_of_a_training(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.add_models()
    assert verb(world, "trajectory") == 3
    assert "has no milestones" in capfd.readouterr().err
    base = world.registry.get("tiny/base")

    def fill(path: Path) -> None:
        world.models.write(path, steps=30)
        for step in (10, 20):
            world.models.write(path / folder_of(step), steps=step)

    add(world.registry, "checkpoint", fill, {"base": base})
    assert verb(world, "trajectory") == 0
    out = capfd.readouterr().out
    header = next(line for line in out.splitlines() if line.startswith("set"))
    places = [header.index(name) for name in ("base", "step 10", "step 20", "end")]
    assert places == sorted(places)
    assert "by the rule best_target, of 3 candidates" in out
    folder = world.registry.home / "reports/tiny"
    assert {path.name for path in folder.iterdir()} == {"trajectory.png", "trajectory.svg"}
    assert not world.registry.ledger().looks
    for rule, chosen in (("last", "end: chosen as the last of 3"), ("average_rank", "chosen")):
        assert verb(world, "trajectory", selection=rule) == 0
        assert chosen in capfd.readouterr().out
