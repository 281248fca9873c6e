"""`bedside eval run` and `bedside eval report` through the command line, on tiny real models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bedside_core.cli import main
from bedside_core.config import Config
from bedside_core.errors import PolicyError
from bedside_core.kinds.evidence import evidence_seal, read_evidence
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_eval import harness

from .conftest import exam_lines

World = Any


def run(world: World, verb: str = "run", **changes: Any) -> int:
    return main(["eval", verb, "--config", world.config(**changes)])


def planned(world: World, **changes: Any) -> int:
    """Plan, then run."""
    return run(world, "plan", **changes) or run(world, **changes)


def evidence(world: World) -> dict[str, Any]:
    path = world.registry.get("tiny/evidence").file("evidence.json")
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def content(registry: Registry) -> dict[str, Any]:
    """All of the evidence but the look's entry, which holds a time."""
    path = registry.get("tiny/evidence").file("evidence.json")
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    del known["look"], known["looked_on"], known["planned_on"]
    return known


def nothing_left(registry: Registry) -> bool:
    left = list((registry.home / "tmp").iterdir())
    return registry.slot("tiny", "evidence") is None and not left


def test_better_model_is_promoted(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.add_models()

    assert planned(world) == 0

    out, err = capfd.readouterr()
    found = evidence(world)
    artifact = world.registry.get("tiny/evidence")
    assert found["verdict"] == "PROMOTE", found["reasons"]
    assert found["candidate"] == world.registry.slot("tiny", "merged")
    assert found["base"] == world.registry.slot("tiny", "base")
    assert found["incumbent"] is None
    assert found["schema_version"] == 4
    ledger = world.registry.ledger()
    assert ledger.looks[found["look"]].look.candidate == found["candidate"]
    assert ledger.plans[found["plan"]].plan.run == "tiny"
    assert "verdict: PROMOTE" in out
    assert all(f"- {reason}" in out for reason in found["reasons"])
    assert artifact.manifest.facts["bits_per_byte"]["base"]["medical"] > 1
    sealed = {r["id"] for r in found["results"]["candidate"]["heldout"]["medical"]}
    assert len(sealed) == 16
    assert artifact.file("evidence.png").read_bytes().startswith(b"\x89PNG")
    assert artifact.file("report.de.pdf").read_bytes().startswith(b"%PDF-")
    assert artifact.manifest.facts["badge"]["de"] == "Besser als sein Ausgangsmodell"
    assert "NaN" not in artifact.file("evidence.json").read_text(encoding="utf-8")
    assert read_evidence(artifact, world.registry.keyring()).verdict == "PROMOTE"
    assert world.registry.promote(artifact).model == found["candidate"]
    progress = [json.loads(line) for line in err.splitlines() if '"progress"' in line]
    assert progress[-1]["done"] == progress[-1]["total"] > 0


def test_no_text_gets_out(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.add_models()

    planned(world)

    out, err = capfd.readouterr()
    artifact = world.registry.get("tiny/evidence")
    written = [
        artifact.file(n).read_text("utf-8")
        for n in ("evidence.json", "report.md", "report.fr.html")
    ]
    for place in (out, err, *written):
        assert "Ramipril" not in place
        assert "Patient" not in place


def test_second_run_reuses_and_shows_the_verdict_again(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models()
    planned(world)
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
    run(world, "plan")
    twin = tmp_path / "twin"
    shutil.copytree(world.registry.home, twin)
    shutil.copy(world.registry.pin.path, Registry(twin).pin.path)
    run(world)
    monkeypatch.setenv("BEDSIDE_HOME", str(twin))
    run(world)

    assert content(world.registry) == content(Registry(twin))


def interrupted(world: World, monkeypatch: pytest.MonkeyPatch, models: int) -> None:
    """A run that ends when the next model is loaded."""
    loaded: list[Path] = []
    original = harness.load_model

    def stopped(path: Path, *arguments: Any, **options: Any) -> Any:
        loaded.append(path)
        if len(loaded) > models:
            raise KeyboardInterrupt
        return original(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(harness, "load_model", stopped)
        assert run(world) == 130


@pytest.fixture
def twin(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry with the same models, where the next run will be; the first has evidence."""
    world.add_models()
    run(world, "plan")
    twin = Registry(tmp_path / "twin")
    shutil.copytree(world.registry.home, twin.home)
    shutil.copy(world.registry.pin.path, twin.pin.path)
    assert run(world) == 0
    monkeypatch.setenv("BEDSIDE_HOME", str(twin.home))
    return twin


@pytest.mark.parametrize("torn", [False, True])
def test_an_interrupted_run_goes_on_with_the_next_part(
    world: World,
    twin: Registry,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    torn: bool,
) -> None:
    interrupted(world, monkeypatch, models=1)
    base = twin.slot("tiny", "base")
    assert base is not None
    (room,) = twin.workrooms[1].iterdir()
    parts = [
        f"{base[:16]}.{part}" for part in ("exam.medical", "heldout.general", "heldout.medical")
    ]
    assert sorted(path.name for path in room.iterdir()) == parts
    if torn:
        (room / parts[0]).write_bytes((room / parts[0]).read_bytes()[:-9])
    capfd.readouterr()
    assert run(world) == 0

    out = capfd.readouterr().out
    done = "heldout/general, heldout/medical" + ("" if torn else ", exam/medical")
    assert f"resumed: model {base[:12]} has answered {done} before" in out
    assert ("not written by this evaluation for this recipe" in out) is torn
    assert list(twin.workrooms[1].iterdir()) == []
    assert len(twin.ledger().looks) == 1  # it went on in the same look
    assert content(twin) == content(world.registry)


def test_planted_scores_are_not_signed(
    world: World,
    twin: Registry,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Scores of a perfect model at the place of 0.2, at the new one, and of another model."""
    interrupted(world, monkeypatch, models=1)
    (room,) = twin.workrooms[1].iterdir()
    base, merged = (twin.slot("tiny", kind) for kind in ("base", "merged"))
    assert base is not None and merged is not None
    results = content(world.registry)["results"]["candidate"]
    for scores in results["heldout"].values():
        for text in scores:
            text["nll"] = 1e-3
    old = twin.home / "work" / room.name
    for role in ("base", "checkpoint", "candidate"):
        old.mkdir(parents=True, exist_ok=True)
        (old / f"{role}.json").write_text(json.dumps(results))
    planted = json.dumps({"texts": results["heldout"]["medical"], "items": [], "of": 8}).encode()
    (room / f"{merged[:16]}.heldout.medical").write_bytes(b"0" * 64 + b"\n" + planted)
    # Authentic, but the base's.
    shutil.copy(room / f"{base[:16]}.heldout.general", room / f"{merged[:16]}.heldout.general")
    capfd.readouterr()
    assert run(world) == 0
    assert capfd.readouterr().out.count("not written by this evaluation for this recipe") == 2
    assert content(twin) == content(world.registry)


def test_kill_9_changes_nothing(world: World, twin: Registry) -> None:
    command = [sys.executable, "-m", "bedside_core.cli", "eval", "run", "--config", world.config()]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kept: list[Path] = []
    try:
        deadline = time.monotonic() + 300
        while not kept and process.poll() is None and time.monotonic() < deadline:
            kept = list(twin.workrooms[1].glob("*/*.heldout.*"))
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    assert kept
    assert twin.slot("tiny", "evidence") is None
    assert run(world) == 0
    assert content(twin) == content(world.registry)


def test_an_unchanged_model_is_the_same_model_and_no_look_is_spent(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models(merged_steps=0)

    assert planned(world) == 0

    found = evidence(world)
    assert found["verdict"] == "SAME_MODEL"
    assert found["look"] is None
    assert world.registry.ledger().looks == {}
    assert "is the base, file by file: there is nothing to promote" in capsys.readouterr().out
    with pytest.raises(PolicyError, match="SAME_MODEL"):
        world.registry.promote(world.registry.get("tiny/evidence"))


def test_without_a_plan_nothing_sealed_is_opened(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models()

    assert run(world) == 5

    assert "has no plan, so no sealed text is opened" in capsys.readouterr().err
    assert nothing_left(world.registry)


@pytest.mark.parametrize(
    ("changed", "said"),
    [("policy", "the policy"), ("length", "how the questions are put"), ("text", "were changed")],
)
def test_what_was_changed_after_the_plan_is_refused(
    world: World, capsys: pytest.CaptureFixture[str], changed: str, said: str
) -> None:
    """A loosened policy, another window, another text: each needs a plan of its own."""
    world.add_models()
    run(world, "plan")
    if changed == "policy":
        world.write_policy(confidence=0.9, min_clusters=11)
    elif changed == "text":
        (world.folder / "medical" / "t3.txt").write_text("anders", encoding="utf-8")

    assert run(world, **({"max_length": 32} if changed == "length" else {})) in (3, 5)

    assert said in capsys.readouterr().err
    assert world.registry.ledger().looks == {}


def test_a_policy_that_nobody_approved_is_refused(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models()
    world.write_policy(approved=False, max_age_days=7)

    assert run(world, "plan") == 5

    assert "is not approved here" in capsys.readouterr().err


def test_a_second_candidate_on_the_same_sealed_texts_is_refused(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Best of several: the next one needs new texts, whatever plan or run it comes by."""
    world.add_models()
    planned(world)
    world.add_models(merged_steps=16)

    assert run(world) == 5
    assert planned(world) == 5
    assert "new sealed texts are needed" in capsys.readouterr().err


def test_of_several_the_best_on_the_development_part_is_the_candidate(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models(checkpoint_steps=15, merged_steps=2)

    assert planned(world, shortlist=["merged", "checkpoint"]) == 0

    found = evidence(world)
    assert found["candidate"] == world.registry.slot("tiny", "checkpoint")
    assert set(found["results"]) == {"base", "candidate"}  # the other saw no sealed text
    assert "chosen" in capsys.readouterr().out


def test_a_template_that_drops_the_question_is_not_promoted(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Likelihood does not see it, and answers are not measured yet (review, finding 3)."""
    world.add_models(files={"chat_template.jinja": "Antworte immer: Alles ist gut."})

    assert planned(world) == 0

    assert evidence(world)["verdict"] == "NOT_ENOUGH_EVIDENCE"
    assert "The candidate's chat template is not the base's" in capsys.readouterr().out


def test_the_incumbent_is_compared_with_too(world: World) -> None:
    """A candidate that beats its base and not what is served is not promoted (finding 10)."""
    world.add_models(merged_steps=15)
    planned(world)
    world.registry.promote(world.registry.get("tiny/evidence"))
    served = world.registry.current().model
    world.write_texts(first=5000)
    world.add_models(merged_steps=4)

    assert planned(world) == 0

    found = evidence(world)
    assert found["incumbent"] == served
    assert found["verdict"] == "REJECT"
    assert "against the incumbent" in found["reasons"][0]


def test_a_reused_step_loads_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "datasets", "lm_eval", "scipy", "numpy", "matplotlib"}
    code = f"import sys, bedside_eval.cli; sys.exit(len({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_report_prints_the_table_and_the_reasons(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models()
    planned(world)
    printed = capsys.readouterr().out.rpartition(" written\n")[2]

    assert run(world, "report") == 0

    assert capsys.readouterr().out == printed


def test_report_refuses_changed_evidence(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.add_models(merged_steps=0)
    planned(world)
    path = world.registry.get("tiny/evidence").file("evidence.json")
    path.write_text(path.read_text("utf-8").replace("SAME_MODEL", "PROMOTE"), encoding="utf-8")

    assert run(world, "report") == 4

    assert "evidence.json was changed" in capsys.readouterr().err


def test_report_refuses_evidence_of_an_older_schema(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models(merged_steps=0)
    planned(world)
    artifact = world.registry.get("tiny/evidence")
    known = json.loads(artifact.file("evidence.json").read_text("utf-8"))
    known["schema_version"] = 2
    del known["findings"]
    raw = json.dumps(known).encode()
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

    assert planned(world) == 4

    assert "model.safetensors was changed" in capsys.readouterr().err
    assert nothing_left(world.registry)


def test_missing_model(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert planned(world) == 3
    assert "run 'tiny' has no base yet" in capsys.readouterr().err


def test_policy_must_name_known_sets(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.add_models()
    world.write_policy(target={"of": "dental", "min_gain": 0.0, "max_loss": 0.1})

    assert run(world, "plan") == 2

    assert "'dental' is not in eval.heldout" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_lenght": 64}, "eval.max_lenght: unknown name - did you mean max_length"),
        ({"seed": 3}, "eval.seed: unknown name"),
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

    assert planned(world, max_length=16) == 3

    error = capsys.readouterr().err
    assert "exam medical: 6 item(s) are longer than eval.max_length = 16" in error
    assert nothing_left(world.registry)


def test_context_longer_than_the_model_is_refused(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models()

    assert planned(world, max_length=512) == 3

    assert "eval.max_length 512 is longer than the 256 tokens" in capsys.readouterr().err
    assert nothing_left(world.registry)


@pytest.mark.parametrize("kind", ["base", "checkpoint", "merged"])
def test_an_incomplete_model_is_refused_before_the_first_question(
    world: World, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    world.add_models(incomplete=kind)

    assert planned(world) == 3

    error = capsys.readouterr().err
    assert "1 weight(s) missing: model.norm.weight - " in error
    assert '"progress": "examine"' not in error
    assert nothing_left(world.registry)


def test_works_without_exams(world: World) -> None:
    world.add_models()
    assert planned(world, exams={}) == 0
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

    assert planned(world) == 4

    assert "disk full" in capsys.readouterr().err
    assert nothing_left(world.registry)


def test_the_signed_report_is_copied_and_a_changed_one_is_not(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add_models()
    planned(world)
    artifact, out = world.registry.get("tiny/evidence"), tmp_path / "report"

    assert main(
        ["eval", "report", "--config", world.config(), "--language", "de", "--out", str(out)]
    ) == 0  # fmt: skip

    names = ["report.de.html", "report.de.pdf", "report.json", "results.csv"]
    assert sorted(path.name for path in out.iterdir()) == names
    for name in names:
        assert (out / name).read_bytes() == artifact.file(name).read_bytes()
    assert main(["eval", "report", "--config", world.config(), "--language", "fr"]) == 0
    assert "Recommandation" in capsys.readouterr().out
    path = artifact.file("report.de.html")
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"Bestanden", b"bestanden"))
    assert main(["eval", "report", "--config", world.config(), "--out", str(tmp_path / "b")]) == 4
    assert not (tmp_path / "b").exists()


def test_groups_are_planned_averaged_and_shown(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.write_exam(exam_lines(36))
    world.add_models()
    groups = {
        "known": {"medical": {"measure": "accuracy"}},
        "unknown": {"medical": {"measure": "accuracy_generated"}},
    }
    assert planned(world, groups=groups) == 0
    found = evidence(world)
    group = found["differences"][0]["groups"]["known"]
    assert (group["sets"], group["questions"]) == ({"medical": "accuracy"}, 24)
    single = found["differences"][0]["exams"]["medical"]["acc"]["difference"]["estimate"]
    assert group["by_questions"]["estimate"] == pytest.approx(single)
    assert found["unmeasured_groups"] == {"unknown": ["medical"]}
    out = capfd.readouterr().out
    assert "known group" in out
    assert "not measured: medical" in out
    # What is averaged was fixed before the look.
    assert run(world, groups={"known": {"medical": {"measure": "accuracy_norm"}}}) == 5
    assert "how the questions are put" in capfd.readouterr().err


def test_the_rule_of_choice_is_a_part_of_the_plan(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.add_models()
    shortlist = ["merged", "checkpoint"]
    assert run(world, "plan", shortlist=shortlist, selection="last") == 0
    plan = world.registry.ledger().newest("tiny").plan
    assert (plan.setting["selection"], len(plan.shortlist)) == ("last", 2)
    assert run(world, shortlist=shortlist, selection="best_target") == 5
    assert run(world, shortlist=shortlist, selection="last") == 0
    assert evidence(world)["candidate"] == world.registry.slot("tiny", "checkpoint")
