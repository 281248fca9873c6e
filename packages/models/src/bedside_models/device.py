"""What kind of device models run on here, told without torch: a step that is reused loads none.

Numbers of another kind of device are other numbers, so recipes name it.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

_HIDDEN = ("", "-1")
"""What `CUDA_VISIBLE_DEVICES` says where no GPU shall be used."""


def device_kind(root: Path = Path("/")) -> str:
    """The models of the NVIDIA GPUs here ("NVIDIA H200"), else the processor's architecture.

    Args:
        root: where `/proc` is found; tests bring their own.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() not in _HIDDEN:
        found = {
            line.partition(":")[2].strip()
            for path in root.glob("proc/driver/nvidia/gpus/*/information")
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.startswith("Model:")
        }
        if found:
            return ", ".join(sorted(found))
    return f"cpu {platform.machine()}"
