"""What kind of device models run on: the one that was asked for, or none at all.

`device_kind` tells it without torch, so that a step that is reused loads none. Numbers of another
kind of device are other numbers, so recipes name it.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bedside_core.errors import ConfigError

if TYPE_CHECKING:
    import torch

DeviceSetting = Literal["auto", "cpu", "cuda"]

ASKED = "BEDSIDE_DEVICE"
"""What `auto` means: the images for GPUs set it to `cuda`."""
DRIVERS = {11: 450, 12: 525, 13: 580}
"""Oldest NVIDIA driver by CUDA's major version (NVIDIA's table of minor-version compatibility)."""
_HIDDEN = ("", "-1")
"""What `CUDA_VISIBLE_DEVICES` says where no GPU shall be used."""
_DRIVER = re.compile(r"Kernel Module[^\n]*?\s(\d+)\.\d+")


def asked_device(setting: DeviceSetting) -> DeviceSetting:
    """The setting; where it is `auto`, what the environment asks for.

    Raises:
        ConfigError: the environment asks for something else than a device.
    """
    if setting != "auto":
        return setting
    asked = os.environ.get(ASKED) or "auto"
    if asked not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"{ASKED} is {asked!r} - set it to auto, cpu or cuda")
    return asked  # type: ignore[return-value]


def device_kind(setting: DeviceSetting = "auto", root: Path = Path("/")) -> str:
    """The models of the NVIDIA GPUs here ("NVIDIA H200"), else the processor's architecture.

    Args:
        setting: what was asked for.
        root: where `/proc` is found; tests bring their own.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in _HIDDEN
    if not hidden and asked_device(setting) != "cpu":
        found = {
            line.partition(":")[2].strip()
            for path in root.glob("proc/driver/nvidia/gpus/*/information")
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.startswith("Model:")
        }
        if found:
            return ", ".join(sorted(found))
    return f"cpu {platform.machine()}"


def driver_version(root: Path = Path("/")) -> int | None:
    """The major version of NVIDIA's driver; None where there is none."""
    try:
        text = (root / "proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fit = _DRIVER.search(text)
    return int(fit[1]) if fit else None


def choose_device(setting: DeviceSetting, *, name: str) -> torch.device:
    """Where models run; a GPU that was asked for is used, or the work is refused.

    Args:
        setting: what was asked for.
        name: the setting's, for the message: `trainer.device`.

    Raises:
        ConfigError: a GPU was asked for, and there is none that torch can use.
    """
    import torch

    asked = asked_device(setting)
    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        by = f"{name} is cuda" if setting == "cuda" else f"{ASKED} is cuda"
        raise ConfigError(
            f"{by}, and torch {torch.__version__} can use no GPU: {_reason()}; {_need()} - mend "
            f"it, or set {name} to cpu if processors shall do it"
        )
    return torch.device("cuda")


def describe_device(device: torch.device) -> dict[str, Any]:
    """Facts for a manifest: what the numbers were made on, and by which versions."""
    import torch

    facts: dict[str, Any] = {"type": device.type, "torch": torch.__version__}
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        facts |= {
            "name": torch.cuda.get_device_name(device),
            "capability": f"{major}.{minor}",
            "driver": driver_version(),
            "cuda": torch.version.cuda,
        }
    return facts


def _reason() -> str:
    """What torch says when it is made to use a GPU; it knows no text but its own."""
    import torch

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return " ".join(str(error).split()).rstrip(".")[:300]
    return "it gives no reason"


def _need() -> str:
    import torch

    if torch.version.cuda is None:
        return "this build of torch has no CUDA: the image for GPUs ends in -cuda"
    need = DRIVERS.get(int(torch.version.cuda.partition(".")[0]))
    found = driver_version()
    has = "no driver is to be seen here" if found is None else f"the driver is {found}"
    return (
        f"CUDA {torch.version.cuda} needs NVIDIA's driver {need or 'of its time'} or newer, {has}"
    )
