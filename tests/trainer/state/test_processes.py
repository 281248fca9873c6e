"""What some processes save, any other number of them loads: the same numbers, bit for bit.

The processes use torch's `fully_shard` on gloo, with and without replication (processes.py).
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from bedside_trainer.parallel.world import World
from bedside_trainer.state.config import StatesConfig
from bedside_trainer.state.states import States

PROGRAM = Path(__file__).with_name("processes.py")
SPEC = importlib.util.spec_from_file_location("processes", PROGRAM)
assert SPEC is not None and SPEC.loader is not None
processes = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(processes)


def test_another_number_of_processes_goes_on_from_a_state(tmp_path: Path) -> None:
    for mesh in processes.SHAPES:
        (tmp_path / f"mesh-{len(mesh)}").mkdir()
    command = [sys.executable, str(PROGRAM), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    # One of the last two was lost; the other one ended by the error of whoever needed it.
    assert json.loads(done.stdout.splitlines()[-1]) == [[0, 0, 0, 0], [1, 9]], done.stderr
    lost = "ConnectionError: as a collective operation would, when a process is lost"
    assert done.stderr.splitlines()[-1] == lost
    assert done.stdout.count("is damaged (found by another process), not used; 1 older left") == 2
    # Each part is written once: by all shards, and by one replica of them.
    assert written(tmp_path / "mesh-1") == ["00000", "00001", "00002", "00003"]
    assert written(tmp_path / "mesh-2") == ["00000", "00001"]
    for mesh in processes.SHAPES:
        work = tmp_path / f"mesh-{len(mesh)}"
        model, optimizer = processes.made(None)
        world = World(0, 1, 0, 1, torch.device("cpu"))
        with States(work, StatesConfig(), world) as all_states:
            found = all_states.newest()
            assert found is not None and found.record.step == 3
            all_states.load(found, model, optimizer)
        expected = load_file(tmp_path / f"{work.name}.safetensors")
        assert processes.same(processes.numbers(model, optimizer), expected)


def written(work: Path) -> list[str]:
    return sorted(path.stem[-5:] for path in work.glob("milestone-*1-*/model-*"))
