"""What the GPUs have used, by NVIDIA's management library (NVML), which comes with the driver."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch

LIBRARY = "libnvidia-ml.so.1"


class Meter:
    """The energy counters of GPUs; reads None where there is none."""

    def __init__(self, uuids: Sequence[str] | None = None, library: Any = None) -> None:
        """`uuids` and `library` are found by themselves; tests bring their own."""
        self._handles: list[ctypes.c_void_p] = []
        wanted = visible() if uuids is None else uuids
        if not wanted:
            return
        try:
            self._nvml = ctypes.CDLL(LIBRARY) if library is None else library
        except OSError:
            return
        if self._nvml.nvmlInit_v2() != 0:
            return
        for uuid in wanted:
            handle = ctypes.c_void_p()
            name = ctypes.c_char_p(uuid.encode())
            if self._nvml.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)) == 0:
                self._handles.append(handle)

    def joules(self) -> float | None:
        """Of all GPUs together since their driver was loaded; None if one does not count."""
        total = 0.0
        for handle in self._handles:
            millijoules = ctypes.c_ulonglong()
            ask = self._nvml.nvmlDeviceGetTotalEnergyConsumption
            if ask(handle, ctypes.byref(millijoules)) != 0:
                return None
            total += millijoules.value / 1000
        return total if self._handles else None


def visible() -> list[str]:
    """The GPUs that this process may use, as NVML names them."""
    found = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return [f"GPU-{torch.cuda.get_device_properties(number).uuid}" for number in found]
