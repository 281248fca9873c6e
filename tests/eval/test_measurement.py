"""Measuring and judging apart: what a changed policy costs, and what it can never do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedside_core.artifacts import MANIFEST
from bedside_core.cli import main
from bedside_core.config import sha256_of
from bedside_eval import harness

World = Any


def run(world: World, **changes: Any) -> int:
    return main(["eval", "run", "--config", world.config(**changes)])


def evidence(world: World, run_name: str = "tiny") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(
        world.registry.get(f"{run_name}/evidence").file("evidence.json").read_bytes()
    )
    return loaded


@pytest.fixture
def sat(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every model that sits the paper from here on."""
    sat: list[Path] = []
    examine = harness.examine

    def counted(path: Path, *arguments: Any, **options: Any) -> Any:
        sat.append(path)
        return examine(path, *arguments, **options)

    monkeypatch.setattr(harness, "examine", counted)
    return sat


STRICT = {"target": {"heldout": "medical", "min_gain": 5.0}}


def test_a_changed_policy_is_judged_without_another_exam_and_cannot_promote(
    world: World, sat: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models()
    world.write_policy(**STRICT)
    assert run(world) == 0
    first, digest = evidence(world), world.registry.slot("tiny", "evidence")
    assert (first["verdict"], first["exploratory"], len(sat)) == ("REJECT", False, 3)

    world.write_policy()  # loosened, after it was seen
    assert run(world) == 0
    assert len(sat) == 3
    out = capsys.readouterr().out
    assert f"judged anew: the models' answers are those of evidence {digest[:12]}" in out
    assert "verdict: PROMOTE (exploratory)" in out
    anew, artifact = evidence(world), world.registry.get("tiny/evidence")
    assert (anew["verdict"], anew["exploratory"]) == ("PROMOTE", True)
    assert anew["results"] == first["results"]
    assert anew["setting"]["inputs"]["policy"] != first["setting"]["inputs"]["policy"]
    assert artifact.manifest.parents["measured"] == digest
    assert "PROMOTE (exploratory)" in artifact.file("report.md").read_text("utf-8")

    assert main(["registry", "promote", "tiny/evidence"]) == 5
    assert "give the run config another `name`" in capsys.readouterr().err
    assert main(["registry", "list"]) == 0
    assert "PROMOTE (exploratory)" in capsys.readouterr().out

    # Again, and on top of it: reused, and exploratory for good.
    assert run(world) == 0
    world.write_policy(guards=[{"heldout": "general", "max_loss": 0.2}])
    assert run(world) == 0
    assert (len(sat), evidence(world)["exploratory"]) == (3, True)
    world.write_policy(**STRICT)
    assert run(world) == 0
    assert world.registry.slot("tiny", "evidence") == digest


@pytest.mark.parametrize("change", [{"seed": 18}, {"bootstrap_samples": 2000}])
def test_another_bootstrap_is_exploratory_too(
    world: World, sat: list[Path], change: dict[str, int]
) -> None:
    world.add_models()
    assert run(world) == 0
    assert run(world, **change) == 0
    assert (len(sat), evidence(world)["exploratory"]) == (3, True)
    assert main(["registry", "promote", "tiny/evidence"]) == 5


def test_a_run_of_its_own_sits_the_exams_and_promotes(world: World, sat: list[Path]) -> None:
    world.add_models()
    world.write_policy(**STRICT)
    assert run(world) == 0
    for kind in ("base", "checkpoint", "merged"):
        world.registry.set_slot("second", kind, world.registry.slot("tiny", kind))
    world.write_policy()
    assert run(world) == 0  # exploratory, in the first run; the second must not find it
    config = world.config()
    assert main(["eval", "run", "--config", config, "--set", "name=second"]) == 0
    assert (len(sat), evidence(world, "second")["exploratory"]) == (6, False)
    assert main(["registry", "promote", "second/evidence"]) == 0


@pytest.mark.parametrize("change", [{"max_length": 48}, {"batch_size": 2}])
def test_what_changes_an_answer_is_measured(
    world: World, sat: list[Path], change: dict[str, int]
) -> None:
    world.add_models()
    assert run(world) == 0
    assert run(world, **change) == 0
    assert (len(sat), evidence(world)["exploratory"]) == (6, False)


def test_another_text_is_measured(world: World, sat: list[Path]) -> None:
    world.add_models()
    assert run(world) == 0
    (world.folder / "general" / "t0.txt").write_text("Der Patient erhält nichts.")
    assert run(world) == 0
    assert (len(sat), evidence(world)["exploratory"]) == (6, False)


def forged(world: World, **recipe: Any) -> None:
    """Signed evidence under a manifest that says it is of something else."""
    artifact = world.registry.get("tiny/evidence")
    manifest = json.loads((artifact.path / MANIFEST).read_bytes())
    for name, change in recipe.items():
        manifest["recipe"][name] |= change
    manifest["recipe_sha256"] = sha256_of(manifest["recipe"])
    raw = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    import hashlib

    (artifact.path / MANIFEST).write_bytes(raw)
    target = artifact.path.with_name(hashlib.sha256(raw).hexdigest())
    artifact.path.rename(target)
    world.registry.set_slot("tiny", "evidence", target.name)


def test_answers_under_a_forged_manifest_are_not_taken(world: World, sat: list[Path]) -> None:
    world.add_models()
    assert run(world) == 0
    text = world.folder / "general" / "t0.txt"
    text.write_text("Der Patient erhält nichts.")
    import hashlib

    sha256 = hashlib.sha256(text.read_bytes()).hexdigest()
    forged(world, inputs={"heldout/general/t0.txt": sha256})
    world.write_policy(**STRICT)
    assert run(world) == 0
    assert (len(sat), evidence(world)["exploratory"]) == (6, False)


def test_answers_with_a_foreign_signature_are_not_taken(
    world: World, sat: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models()
    assert run(world) == 0
    artifact = world.registry.get("tiny/evidence")
    content = artifact.file("evidence.json")
    content.write_bytes(
        content.read_bytes().replace(b'"verdict": "PROMOTE"', b'"verdict": "REJECT"')
    )
    world.write_policy(**STRICT)
    assert run(world) == 0
    assert "does not match its manifest" in capsys.readouterr().out
    assert (len(sat), evidence(world)["exploratory"]) == (6, False)


def test_withdrawn_answers_are_not_taken(world: World, sat: list[Path]) -> None:
    world.add_models()
    assert run(world) == 0
    assert main(["registry", "withdraw", "tiny/evidence", "--reason", "wrong exam"]) == 0
    world.write_policy(**STRICT)
    assert run(world) == 0
    assert (len(sat), evidence(world)["exploratory"]) == (6, False)


def test_progress_knows_every_window_from_the_start(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside_core.progress.JSON_INTERVAL_SECONDS", 0)
    world.add_models()
    assert run(world, max_length=32) == 0
    err = capfd.readouterr().err
    lines = [json.loads(x) for x in err.splitlines() if x.startswith('{"progress": "examine"')]
    totals = {line["total"] for line in lines}
    assert len(totals) == 1
    assert totals.pop() > 3 * (16 + 36)
    assert max(line["done"] for line in lines) == lines[-1]["done"] == lines[-1]["total"]
    assert all(line["eta_seconds"] is None or line["eta_seconds"] >= 0 for line in lines)
