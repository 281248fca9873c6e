"""`bedside eval run` and `bedside eval report` through the command line, on tiny real models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bedside_core.cli import main
from bedside_core.config import Config
from bedside_core.kinds.evidence import evidence_seal, read_evidence
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_eval import harness

World = Any


def run(world: World, verb: str = "run", **changes: Any) -> int:
    return main(["eval", verb, "--config", world.config(**changes)])


def evidence(world: World) -> dict[str, Any]:
    path = world.registry.get("tiny/evidence").file("evidence.json")
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def nothing_left(registry: Registry) -> bool:
    left = list((registry.home / "tmp").iterdir())
    return registry.slot("tiny", "evidence") is None and not left


def test_better_model_is_promoted(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.add_models()

    assert run(world) == 0

    out, err = capfd.readouterr()
    found = evidence(world)
    artifact = world.registry.get("tiny/evidence")
    assert found["verdict"] == "PROMOTE"
    assert found["candidate"] == world.registry.slot("tiny", "merged")
    assert found["base"] == world.registry.slot("tiny", "base")
    assert found["checkpoint"] == world.registry.slot("tiny", "checkpoint")
    assert found["schema_version"] == 2
    assert found["setting"]["contamination"]["heldout"]["medical"] == {
        "exact": 1, "near": 1, "ngram": 1, "of": 8, "ids": ["t0"],
    }  # fmt: skip
    assert "medical 1 / 1 / 1 of 8" in out
    assert "medical exam 0 / 0 / 0 of 9." in out
    assert "| medical | 1 | 1 | 1 | 8 | t0 |" in artifact.file("report.md").read_text("utf-8")
    assert "verdict: PROMOTE" in out
    assert all(f"- {reason}" in out for reason in found["reasons"])
    assert artifact.manifest.facts["perplexity"]["base"]["medical"] > 1
    assert {r["id"] for r in found["results"]["merged"]["heldout"]["medical"]} == {
        f"t{n}" for n in range(8)
    }
    png = artifact.file("evidence.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert "NaN" not in artifact.file("evidence.json").read_text(encoding="utf-8")
    assert read_evidence(artifact, world.registry.keyring()).verdict == "PROMOTE"
    assert world.registry.promote(artifact).model == found["candidate"]
    progress = [json.loads(line) for line in err.splitlines() if '"progress"' in line]
    assert progress[-1]["done"] == progress[-1]["total"] == 3 * (16 + 36)


def test_no_text_gets_out(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.add_models()

    run(world)

    out, err = capfd.readouterr()
    artifact = world.registry.get("tiny/evidence")
    written = [artifact.file(n).read_text("utf-8") for n in ("evidence.json", "report.md")]
    for place in (out, err, *written):
        assert "Ramipril" not in place
        assert "Patient" not in place


def test_second_run_reuses_and_shows_the_verdict_again(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models()
    run(world)
    first = world.registry.slot("tiny", "evidence")
    capsys.readouterr()

    assert run(world) == 0

    out = capsys.readouterr().out
    assert "reused" in out
    assert "verdict: PROMOTE" in out
    assert world.registry.slot("tiny", "evidence") == first


def test_evidence_is_the_same_twice(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_models()
    twin = tmp_path / "twin"
    shutil.copytree(world.registry.home, twin)
    shutil.copy(world.registry.pin.path, Registry(twin).pin.path)
    run(world)
    monkeypatch.setenv("BEDSIDE_HOME", str(twin))
    run(world)

    first, second = (
        r.get("tiny/evidence").file("evidence.json").read_bytes()
        for r in (world.registry, Registry(twin))
    )
    assert first == second


@pytest.mark.parametrize("torn", [False, True])
def test_an_interrupted_run_goes_on_with_the_next_model(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    torn: bool,
) -> None:
    world.add_models()
    twin = tmp_path / "twin"
    shutil.copytree(world.registry.home, twin)
    shutil.copy(world.registry.pin.path, Registry(twin).pin.path)
    run(world)

    examined = []
    original = harness.examine

    def stopped(path: Path, *arguments: Any, **options: Any) -> Any:
        examined.append(path.name)
        if len(examined) == 2:
            raise KeyboardInterrupt
        return original(path, *arguments, **options)

    monkeypatch.setenv("BEDSIDE_HOME", str(twin))
    monkeypatch.setattr(harness, "examine", stopped)
    assert run(world) == 130
    if torn:
        (kept,) = (twin / "work").glob("*/base.json")
        kept.write_bytes(kept.read_bytes()[:-9])
    capfd.readouterr()
    assert run(world) == 0

    house = Registry(twin)
    order = [house.slot("tiny", kind) for kind in ("base", "checkpoint", "merged")]
    assert examined[2:] == (order if torn else order[1:])
    assert ("resumed: base done before" in capfd.readouterr().out) is not torn
    assert list((twin / "work").iterdir()) == []
    first, second = (
        r.get("tiny/evidence").file("evidence.json").read_bytes() for r in (world.registry, house)
    )
    assert first == second


def test_unchanged_model_is_rejected_and_exit_code_is_zero(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models(merged_steps=0)

    assert run(world) == 0

    found = evidence(world)
    merged_base = next(
        d for d in found["differences"] if (d["candidate"], d["reference"]) == ("merged", "base")
    )
    assert found["verdict"] == "REJECT"
    assert merged_base["heldout"]["medical"] == {"estimate": 0.0, "low": 0.0, "high": 0.0}
    assert merged_base["exams"]["medical"]["acc"]["mcnemar_p"] == 1.0
    assert "there is no such gain" in capsys.readouterr().out


def test_a_reused_step_loads_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "datasets", "lm_eval", "scipy", "numpy", "matplotlib"}
    code = f"import sys, bedside_eval.cli; sys.exit(len({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_report_prints_the_table_and_the_reasons(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models()
    run(world)
    printed = capsys.readouterr().out.rpartition(" written\n")[2]

    assert run(world, "report") == 0

    assert capsys.readouterr().out == printed


def test_report_refuses_changed_evidence(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.add_models(merged_steps=0)
    run(world)
    path = world.registry.get("tiny/evidence").file("evidence.json")
    path.write_text(path.read_text("utf-8").replace("REJECT", "PROMOTE"), encoding="utf-8")

    assert run(world, "report") == 4

    assert "evidence.json was changed" in capsys.readouterr().err


def test_report_refuses_evidence_of_an_older_schema(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models(merged_steps=0)
    run(world)
    artifact = world.registry.get("tiny/evidence")
    content = json.loads(artifact.file("evidence.json").read_text("utf-8"))
    content["schema_version"] = 1
    del content["setting"]["estimand"]
    raw = json.dumps(content).encode()
    house = Run("tiny", "eval", "run", world.registry)
    recipe = house.recipe(Config(), parents={})
    with house.write("evidence", recipe) as writer:
        (writer.path / "evidence.json").write_bytes(raw)
        writer.seal = evidence_seal(world.registry.evidence_keys)

    assert run(world, "report") == 4

    assert "has a schema that this version does not know - run `bedside eval run` again" in (
        capsys.readouterr().err
    )


def test_report_without_evidence(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(world, "report") == 3
    assert "bedside eval run" in capsys.readouterr().err


def test_tampered_weights_are_named(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.add_models()
    path = world.registry.get("tiny/merged").file("model.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    assert run(world) == 4

    assert "model.safetensors was changed" in capsys.readouterr().err
    assert nothing_left(world.registry)


def test_missing_model(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(world) == 3
    assert "bedside trainer import-base" in capsys.readouterr().err


def test_policy_must_name_known_sets(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.add_models()
    world.write_policy(target={"heldout": "dental", "min_gain": 0.0})

    assert run(world) == 2

    assert "'dental' is not in eval.heldout" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_lenght": 64}, "eval.max_lenght: unknown name - did you mean max_length"),
        ({"bootstrap_samples": 10}, "eval.bootstrap_samples"),
        ({"heldout": {}}, "eval.heldout"),
        ({"heldout": {"a/b": "x"}}, "eval.heldout.a/b"),
    ],
)
def test_bad_config(
    world: World, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], message: str
) -> None:
    assert run(world, **changes) == 2
    assert message in capsys.readouterr().err


def test_item_longer_than_the_context_is_refused(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models()

    assert run(world, max_length=16) == 3

    error = capsys.readouterr().err
    assert "exam medical: 9 item(s) are longer than eval.max_length = 16" in error
    assert nothing_left(world.registry)


def test_context_longer_than_the_model_is_refused(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models()

    assert run(world, max_length=512) == 3

    assert "eval.max_length 512 is longer than the 256 tokens" in capsys.readouterr().err
    assert nothing_left(world.registry)


@pytest.mark.parametrize("kind", ["base", "checkpoint", "merged"])
def test_an_incomplete_model_is_refused_before_the_first_question(
    world: World, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    world.add_models(incomplete=kind)

    assert run(world) == 3

    error = capsys.readouterr().err
    assert "1 weight(s) missing: model.norm.weight - " in error
    assert '"progress": "examine"' not in error
    assert nothing_left(world.registry)


def test_works_without_exams(world: World) -> None:
    world.add_models()
    assert run(world, exams={}) == 0
    assert evidence(world)["results"]["base"]["exams"] == {}


def test_full_disk_leaves_nothing(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_models()
    original = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == "evidence.json":
            raise OSError(28, "No space left on device", str(self))
        return original(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)

    assert run(world) == 4

    assert "disk full" in capsys.readouterr().err
    assert nothing_left(world.registry)
