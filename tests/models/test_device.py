"""A recipe names the kind of device, and no torch is loaded for it."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from bedside_models.device import device_kind


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two GPUs of one kind, as the driver tells of them."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for bus in ("0000:01:00.0", "0000:02:00.0"):
        folder = tmp_path / "proc/driver/nvidia/gpus" / bus
        folder.mkdir(parents=True)
        (folder / "information").write_text("Model: \t\t NVIDIA H200\nIRQ:   \t\t 16\n")
    return tmp_path


def test_gpus_are_named_once(machine: Path) -> None:
    assert device_kind(machine) == "NVIDIA H200"


@pytest.mark.parametrize("value", ["", "-1"])
def test_hidden_gpus_are_none(machine: Path, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert device_kind(machine) == f"cpu {platform.machine()}"


def test_without_gpus_it_is_the_processor(tmp_path: Path) -> None:
    assert device_kind(tmp_path) == f"cpu {platform.machine()}"


def test_no_torch_is_loaded() -> None:
    code = "import sys, bedside_models.device; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
