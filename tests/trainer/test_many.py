"""Several processes train as one does, whoever started them; one that is lost ends all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from bedside_core.errors import InputError
from bedside_trainer.config import BaseConfig

TOLERANCE = 2e-5
"""Of losses, between one process and several: sums of float32 in another order."""
COMMAND = ("trainer", "run", "--config")
OWN = """
import sys
from bedside_core.cli import fail
from bedside_core.errors import InputError
from bedside_trainer.parallel.launch import run_as_many
try:
    run_as_many(int(sys.argv[1]), sys.argv[2:])
except InputError as error:
    sys.exit(fail(str(error), error.exit_code))
"""
"""What the verb does where there are so many GPUs."""
ACCELERATE = (
    "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--num_cpu_threads_per_process", "1",
    "--module", "bedside_core.cli",
)  # fmt: skip


@pytest.fixture(scope="module")
def ward(new_house_at: Any, model_directory: Path, tmp_path_factory: Any) -> Any:
    """A house whose base has no dropout: what is random differs between processes."""
    folder = tmp_path_factory.mktemp("many")
    plain = folder / "model"
    shutil.copytree(model_directory, plain)
    config = json.loads((plain / "config.json").read_text())
    (plain / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.0}))
    return new_house_at(folder / "home", BaseConfig(directory=plain, licence="MIT"))


def started(house: Any, command: tuple[str, ...], **changes: Any) -> subprocess.Popen[str]:
    section = house.config(**changes).model_dump(mode="json")
    config = house.registry.home.parent / "run.yaml"
    config.write_text(yaml.safe_dump({"name": "test", "trainer": section}))
    environment = os.environ | {"BEDSIDE_HOME": str(house.registry.home)}
    environment.pop("WORLD_SIZE", None)
    return subprocess.Popen(
        [sys.executable, *command, *COMMAND, str(config)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def curve(house: Any) -> list[dict[str, float]]:
    path = house.registry.get("test/checkpoint").path / "loss.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_several_processes_train_something_else(ward: Any, tmp_path: Path) -> None:
    settings = {"num_epochs": 1, "batch_size": 3, "step": {"micro_batch_tokens": 64}}
    alone = ward.copy(tmp_path / "alone" / "home")
    expected = alone.train(**settings)
    # Checkpointing and chunks of the loss change nothing either, so they are tried on the way.
    less = {"micro_batch_tokens": 64, "activation_checkpointing": "full", "loss_chunk_tokens": 16}
    for name, command, changes in (
        ("fsdp2", ("-m", *ACCELERATE), {"step": less}),
        ("hsdp", ("-c", OWN, "4"), {"parallel": {"shard": 2}}),
    ):
        house = ward.copy(tmp_path / name / "home")
        process = started(house, command, **settings | changes)
        out, err = process.communicate(timeout=400)
        assert process.returncode == 0, err
        assert out.count("checkpoint ") == 1, "another process than the first spoke"
        assert "Traceback" not in err
        found = curve(house)
        assert len(found) == len(curve(alone)) > 3
        for one, other in zip(found, curve(alone), strict=True):
            assert one["loss"] == pytest.approx(other["loss"], abs=TOLERANCE)
            assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)
        path = house.registry.get("test/checkpoint").path
        weights, wanted = (load_file(p / "model.safetensors") for p in (path, expected))
        assert weights.keys() == wanted.keys()
        for key in wanted:
            torch.testing.assert_close(weights[key], wanted[key], atol=2e-3, rtol=0)
        facts = house.registry.get("test/checkpoint").manifest.facts
        assert facts["device"]["processes"] == int(name == "hsdp") * 2 + 2
        assert house.leftovers() == []
        assert list((house.registry.home / "work").glob("*/step-*")) == []


def test_a_lost_process_leaves_the_others_waiting(ward: Any, tmp_path: Path) -> None:
    house = ward.copy(tmp_path / "home")
    process = started(house, ("-c", OWN, "2"), num_epochs=500, states={"every": 1})
    deadline = time.monotonic() + 300
    while not house.states() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    (children,) = Path(f"/proc/{process.pid}/task/{process.pid}").glob("children")
    pids = [int(pid) for pid in children.read_text().split()]
    os.kill(pids[-1], signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == InputError.exit_code, err
    assert "lost another process of this training" in err or "was killed by signal 9" in err
    assert "internal error" not in err
    assert house.states(), "what was saved is lost"
    assert house.leftovers() == []
