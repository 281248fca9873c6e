from __future__ import annotations

import pytest
import torch

from bedside_core.errors import ConfigError
from bedside_trainer.step.kernels import check_kernels
from bedside_trainer.step.settings import Step

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_what_a_machine_lacks_is_found_in_the_middle_of_a_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_kernels(Step(), CPU)
    with pytest.raises(ConfigError, match="liger needs a GPU"):
        check_kernels(Step(liger=True), CPU)
    with pytest.raises(ConfigError, match="needs the package liger-kernel"):
        check_kernels(Step(liger=True), GPU)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(ConfigError, match="needs a C compiler"):
        check_kernels(Step(compile=True), CPU)
