"""The switches that keep libraries from a model hub and from telemetry, in one table.

`bedside` sets them before a verb imports anything heavy, the engine hands them to vLLM, images set
them too, and `bedside selftest` looks for each.
"""

from __future__ import annotations

import os

OFFLINE = dict.fromkeys(
    (
        "DO_NOT_TRACK",
        "HF_DATASETS_OFFLINE",
        "HF_EVALUATE_OFFLINE",
        "HF_HUB_DISABLE_TELEMETRY",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "VLLM_NO_USAGE_STATS",
    ),
    "1",
)
"""Environment variables and the value that switches off, as the libraries' own pages name them."""

STARTED_WITHOUT = tuple(name for name, off in OFFLINE.items() if os.environ.get(name) != off)
"""What whoever started this process had not switched off: `bedside selftest` looks at the image,
not at what the process did for itself since."""


def switch_off() -> None:
    """Set every switch in this process and its children, whatever the environment says."""
    os.environ.update(OFFLINE)
