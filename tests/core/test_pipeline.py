"""The pipeline: checked before it begins, in order, stopped by the first step that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bedside_core import dispatch
from bedside_core.errors import ConfigError
from bedside_core.kinds.serving import Serving, served_identity
from bedside_core.preflight import look
from bedside_core.registry.registry import Registry

ORDER = [
    "trainer import-base",
    "eval plan",
    "corpus build",
    "trainer run",
    "merger run",
    "eval run",
]

# Stands for a service's command: notes its words, and fails where it is told to.
SERVICE = """#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in *"$FAILING"*) exit 3 ;; esac
"""


def bedside(*words: str, root: Path, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bedside_core.cli", *words]
    environment = {k: v for k, v in os.environ.items() if k != "BEDSIDE_ENVS"}
    return subprocess.run(
        command, cwd=root, capture_output=True, text=True,
        env={**environment, "BEDSIDE_HOME": str(home), **more},
    )  # fmt: skip


@pytest.fixture
def services(tmp_path: Path) -> dict[str, str]:
    for name in ("corpus", "trainer", "merger", "eval"):
        program = tmp_path / "envs" / name / "bin" / "bedside"
        program.parent.mkdir(parents=True)
        program.write_text(SERVICE)
        program.chmod(0o755)
    return {"BEDSIDE_ENVS": str(tmp_path / "envs"), "CALLS": str(tmp_path / "calls")}


def calls(services: dict[str, str]) -> list[str]:
    lines = Path(services["CALLS"]).read_text().splitlines()
    return [line.partition(" --config")[0] for line in lines]


def test_a_slip_in_the_last_section_is_found_before_the_first_step(root, tmp_path):
    words = ("adapt", "--config", "configs/demo.yaml", "--set", "eval.bach_size=1")
    done = bedside(*words, root=root, home=tmp_path / "home")
    assert done.returncode == 2
    assert "eval.bach_size: unknown name - did you mean batch_size?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home" / "artifacts").exists()


def test_every_config_of_the_house_is_valid(root, tmp_path):
    for path in sorted(root.glob("configs/*.yaml")):
        done = bedside("check", "--config", str(path), root=root, home=tmp_path)
        if path.stem in ("demo", "tiny"):
            assert (done.returncode, done.stderr) == (0, "")
        else:  # their texts and machines are a house's own; a wrong config would end with 2
            assert (path.stem, done.returncode) == (path.stem, 3)
        assert "checked:\n  corpus: every setting\n" in done.stdout


def test_checks_come_first_then_the_steps_in_order(root, tmp_path, services):
    words = ("adapt", "--config", "configs/demo.yaml", "--set", "trainer.seed=1")
    done = bedside(*words, root=root, home=tmp_path / "home", FAILING="nothing", **services)
    looked = [f"check {name}" for name in ("corpus", "eval", "merger", "trainer")]
    assert sorted(calls(services)[:4]) == looked
    assert calls(services)[4:] == ORDER
    assert "trainer.seed=1" in Path(services["CALLS"]).read_text()
    new = Registry(tmp_path / "home")
    assert new.keyring()["operator"].fingerprint in done.stdout
    assert [approval.policy.name for approval in new.ledger().approvals.values()] == ["demo"]
    # The steps above made nothing, so there is nothing to promote.
    assert done.returncode == 4
    assert "run 'demo' has no evidence yet" in done.stderr


def test_the_base_writes_its_replay_before_a_training_that_wants_one(root, tmp_path, services):
    words = ("adapt", "--config", "configs/demo.yaml", "--set", "trainer.replay.share=0.1")
    done = bedside(*words, root=root, home=tmp_path / "home", FAILING="trainer run", **services)
    assert calls(services)[4:] == [*ORDER[:3], "trainer replay", "trainer run"]
    assert done.returncode == 3


def test_keys_are_made_for_a_home_that_is_empty_and_for_no_other(root, tmp_path, services):
    """Something of a house that has no keys any more is a loss, and no beginning."""
    home = tmp_path / "home"
    (home / "artifacts").mkdir(parents=True)
    words = ("adapt", "--config", "configs/demo.yaml")
    bedside(*words, root=root, home=home, FAILING="nothing", **services)
    assert not (home / "keys").exists()
    assert not Registry(home).pin.path.exists()


@pytest.mark.parametrize("failing", ORDER)
def test_the_first_failure_stops_with_its_exit_code(root, tmp_path, services, failing):
    words = ("adapt", "--config", "configs/demo.yaml")
    done = bedside(*words, root=root, home=tmp_path, FAILING=failing, **services)
    assert done.returncode == 3
    assert calls(services)[4:] == ORDER[: ORDER.index(failing) + 1]
    assert f"{failing} ended with exit code 3" in done.stderr


@pytest.mark.parametrize("how", ["kill -9 $$", "exit 137"])
def test_a_step_that_the_kernel_killed_is_out_of_memory(root, tmp_path, services, how):
    program = tmp_path / "envs/trainer/bin/bedside"
    program.write_text(f'#!/bin/sh\ncase "$*" in "trainer run"*) {how} ;; esac\n')
    words = ("adapt", "--config", "configs/demo.yaml")
    done = bedside(*words, root=root, home=tmp_path, FAILING="nothing", **services)
    assert done.returncode == 3
    assert "trainer run was killed, probably because memory ran out (" in done.stderr
    assert "lower trainer.batch_size or trainer.sequence_length" in done.stderr


def nowhere(service: str) -> list[str]:
    raise ConfigError(f"no {service}")


def test_an_environment_that_a_step_needs_is_a_fault_before_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(dispatch, "executable", nowhere)
    config = tmp_path / "run.yaml"
    config.write_text("name: ward\n")
    found = look(config, [], Registry(tmp_path / "home"), to_run=True)
    assert [fault.text for fault in found.faults] == [
        "no corpus", "no trainer", "no merger", "no eval",
    ]  # fmt: skip
    assert "inference: no inference" in found.unsure
    alone = look(config, [], Registry(tmp_path / "home"), to_run=False)
    assert alone.faults == []
    assert [line.partition(":")[0] for line in alone.unsure] == [
        "corpus", "trainer", "merger", "eval", "inference",
    ]  # fmt: skip


@pytest.fixture
def run_config(tmp_path) -> str:
    path = tmp_path / "run.yaml"
    path.write_text("name: ward\n")
    return str(path)


def test_promote_takes_what_this_run_has_made(root, tmp_path, registry, chain, judge, run_config):
    other = judge(chain["checkpoint"], chain["base"])
    registry.set_slot("elsewhere", "evidence", other.digest)
    registry.set_slot("ward", "evidence", chain["evidence"].digest)
    done = bedside("promote", "--config", run_config, root=root, home=tmp_path / "home")
    model, evidence = chain["merged"].digest, chain["evidence"].digest
    said = (
        f"promoted {model[:12]} on evidence {evidence[:12]}\n"
        "the engine will not serve it as proven with this config: it does not say what was "
        "examined - change it back before it starts\n"
        f"for others to verify: {registry.public / model}\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
    [entry] = registry.promotions()
    assert (entry.action, entry.model, entry.evidence) == ("promote", model, evidence)
    again = bedside("promote", "--config", run_config, root=root, home=tmp_path / "home")
    assert (again.returncode, again.stdout) == (0, said)
    assert registry.promotions() == [entry]


def test_a_step_that_runs_by_itself_does_not_undo_a_rollback(
    root, tmp_path, registry, chain, judge, run_config
):
    """What an upgrade of a chart, a timer or `docker compose run promote` would repeat."""
    registry.promote(judge(chain["checkpoint"], chain["base"]))
    registry.set_slot("ward", "evidence", judge(chain["merged"], chain["base"]).digest)
    words = ("promote", "--config", run_config)
    assert bedside(*words, root=root, home=tmp_path / "home").returncode == 0
    kept = registry.rollback("worse")
    for _ in range(2):
        done = bedside(*words, root=root, home=tmp_path / "home")
        assert (done.returncode, done.stdout) == (5, "")
        assert f"{chain['merged'].digest[:12]} was rolled back on" in done.stderr
    assert registry.current() == kept


def test_promote_warns_of_a_config_that_serves_it_otherwise(
    root, tmp_path, registry, put, chain, judge, run_config
):
    header = b'{"w":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}'
    weights = len(header).to_bytes(8, "little") + header + bytes(4)
    files = {"config.json": b"{}", "model.safetensors": weights}
    model = put("merged", files=files, parents={"base": chain["base"]})
    examined = served_identity(model, Serving(dtype="bfloat16")).model_dump()
    evidence = judge(model, chain["base"], served=examined)
    registry.set_slot("ward", "evidence", evidence.digest)
    words = ("promote", "--config", run_config, "--set")
    said = f"promoted {model.digest[:12]} on evidence {evidence.digest[:12]}\n"
    told = bedside(*words, "inference.engine.dtype=float32", root=root, home=tmp_path / "home")
    assert told.returncode == 0
    assert told.stdout.startswith(
        f"{said}the engine will not serve it as proven with this config: inference.engine.dtype: "
        "float32, examined was bfloat16 - change it back before it starts\n"
    )
    quiet = bedside(*words, "inference.engine.dtype=bfloat16", root=root, home=tmp_path / "home")
    assert quiet.returncode == 0
    assert quiet.stdout.startswith(said)
    assert "the engine will not serve" not in quiet.stdout


def test_promote_follows_the_name_that_an_override_gives(
    root, tmp_path, registry, chain, run_config
):
    registry.set_slot("icu", "evidence", chain["evidence"].digest)
    words = ("promote", "--config", run_config, "--set", "name=icu")
    assert bedside(*words, root=root, home=tmp_path / "home").returncode == 0
    assert [entry.model for entry in registry.promotions()] == [chain["merged"].digest]


@pytest.mark.parametrize("verdict", ["REJECT", "NOT_ENOUGH_EVIDENCE"])
def test_promote_refuses_any_other_verdict(
    root, tmp_path, registry, chain, judge, run_config, verdict
):
    evidence = judge(chain["merged"], chain["base"], verdict)
    registry.set_slot("ward", "evidence", evidence.digest)
    done = bedside("promote", "--config", run_config, root=root, home=tmp_path / "home")
    assert (done.returncode, done.stdout) == (5, "")
    said = f"the verdict on {chain['merged'].digest[:12]} is {verdict}: medical_de improved"
    assert done.stderr == f"bedside: {said}\n"
    assert registry.promotions() == []


def test_promote_finds_weights_that_were_changed(root, tmp_path, registry, chain, run_config):
    registry.set_slot("ward", "evidence", chain["evidence"].digest)
    (chain["merged"].path / "weights.bin").write_bytes(b"v" * 1000)
    done = bedside("promote", "--config", run_config, root=root, home=tmp_path / "home")
    assert (done.returncode, done.stdout) == (4, "")
    assert "weights.bin was changed" in done.stderr
    assert registry.promotions() == []


def test_promote_before_the_evaluation(root, tmp_path, registry, chain, run_config):
    registry.set_slot("ward", "merged", chain["merged"].digest)
    done = bedside("promote", "--config", run_config, root=root, home=tmp_path / "home")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "bedside: run 'ward' has no evidence yet - `bedside registry list` shows what there is\n"
    )
    assert registry.promotions() == []
