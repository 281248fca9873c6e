"""Adapters train in one process, and what all processes meet is said once."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest
import torch

from bedside_core.errors import ConfigError, InputError
from bedside_core.inspection import Inspection
from bedside_trainer import run as trainer_run
from bedside_trainer.check import check_training
from bedside_trainer.parallel import launch, processes
from bedside_trainer.parallel.processes import the_first_speaks


def test_adapters_on_several_processes_are_refused(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"lora trains in one process, and WORLD_SIZE is 2 - st"):
        house.train(method="lora")
    inspection = Inspection({"eval": {"heldout": {"ward": "w"}}})
    check_training(house.config(method="lora"), inspection)
    (fault,) = (finding for finding in inspection.findings if finding.kind == "fault")
    assert fault.text.startswith("trainer.method lora trains in one process")
    assert fault.code == ConfigError.exit_code == 2
    inspection = Inspection({"eval": {"heldout": {"ward": "w"}}})
    check_training(house.config(), inspection)
    assert [finding.kind for finding in inspection.findings].count("fault") == 0


class LoadedError(Exception):
    """Ends a training before it begins."""


def test_the_verb_starts_a_process_for_each_gpu_but_for_adapters(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(trainer_run, "choose_device", lambda *_, **__: torch.device("cuda"))
    started: list[int] = []
    monkeypatch.setattr(launch, "run_as_many", lambda count, _: started.append(count))

    def prepared(*_: Any, **__: Any) -> Any:
        raise LoadedError

    monkeypatch.setattr(trainer_run, "prepared", prepared)
    with pytest.raises(LoadedError):
        trainer_run.train(house.config(method="lora"), house.run("trainer", "run"))
    assert started == []
    trainer_run.train(house.config(), house.run("trainer", "run"))
    assert started == [4]


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_fault_of_its_own_is_said_by_every_process(
    rank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(processes.time, "sleep", slept.append)
    monkeypatch.setenv("RANK", rank)
    with pytest.raises(InputError, match="mine"), the_first_speaks():
        raise InputError("mine")
    assert slept == [processes.GRACE_SECONDS] * int(rank)


def test_who_is_ended_meanwhile_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(SystemExit) as ended, the_first_speaks():
        raise InputError("of all")
    assert ended.value.code == 130
