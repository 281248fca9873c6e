"""A recipe names the kind of device without torch; a GPU that was asked for is used or refused."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bedside_core.errors import ConfigError
from bedside_models.device import (
    ASKED,
    asked_device,
    choose_device,
    describe_device,
    device_kind,
    driver_version,
)

VERSION = """NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.133.20  Release Build
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two GPUs of one kind, as the driver tells of them."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for bus in ("0000:01:00.0", "0000:02:00.0"):
        folder = tmp_path / "proc/driver/nvidia/gpus" / bus
        folder.mkdir(parents=True)
        (folder / "information").write_text("Model: \t\t NVIDIA H200\nIRQ:   \t\t 16\n")
    (tmp_path / "proc/driver/nvidia/version").write_text(VERSION)
    return tmp_path


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ASKED, raising=False)


def test_gpus_are_named_once(machine: Path) -> None:
    assert device_kind(root=machine) == "NVIDIA H200"


@pytest.mark.parametrize("value", ["", "-1"])
def test_hidden_gpus_are_none(machine: Path, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert device_kind(root=machine) == f"cpu {platform.machine()}"


def test_gpus_that_are_not_used_are_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_kind("cpu", root=machine) == f"cpu {platform.machine()}"
    monkeypatch.setenv(ASKED, "cpu")
    assert device_kind(root=machine) == f"cpu {platform.machine()}"
    assert device_kind("cuda", root=machine) == "NVIDIA H200"


def test_without_gpus_it_is_the_processor(tmp_path: Path) -> None:
    assert device_kind(root=tmp_path) == f"cpu {platform.machine()}"


def test_no_torch_is_loaded() -> None:
    code = "import sys, bedside_models.device; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_setting_is_overruled_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ASKED, "cuda")
    assert asked_device("cpu") == "cpu"
    assert asked_device("auto") == "cuda"
    monkeypatch.setenv(ASKED, "gpu")
    with pytest.raises(ConfigError, match="BEDSIDE_DEVICE is 'gpu' - set it to auto, cpu or cuda"):
        asked_device("auto")


def test_processors_do_the_work_of_a_gpu_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto", name="trainer.device").type == "cpu"
    with pytest.raises(ConfigError, match=r"trainer\.device is cuda, and torch .* no GPU: .*CUDA"):
        choose_device("cuda", name="trainer.device")
    monkeypatch.setenv(ASKED, "cuda")
    with pytest.raises(ConfigError, match=r"BEDSIDE_DEVICE is cuda.*set trainer\.device to cpu"):
        choose_device("auto", name="trainer.device")
    assert choose_device("cpu", name="trainer.device").type == "cpu"


def test_the_driver_that_cuda_needs_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_old() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12080).")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", too_old)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(
        ConfigError, match=r"driver on your system is too old.* needs .* 580 or new"
    ):
        choose_device("cuda", name="trainer.device")


def test_a_gpu_that_is_there_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto", name="trainer.device").type == "cuda"
    assert choose_device("cpu", name="trainer.device").type == "cpu"


def test_facts_do_not_say_what_the_numbers_were_made_on(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert driver_version(machine) == 570
    cpu = describe_device(torch.device("cpu"))
    assert cpu == {"type": "cpu", "torch": torch.__version__}
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H200")
    gpu = describe_device(torch.device("cuda"))
    assert (gpu["name"], gpu["capability"]) == ("NVIDIA H200", "9.0")
    assert gpu.keys() >= {"driver", "cuda", "torch"}
