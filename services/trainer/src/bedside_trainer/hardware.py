"""What accelerators can do, by the name that their driver gives.

Tested in tests/trainer/test_hardware.py.
"""

from __future__ import annotations

_PEAKS = (("H200", 989e12), ("H100 PCIe", 756e12), ("H100", 989e12), ("A100", 312e12))
"""Part of the name, and FLOP per second of dense bfloat16 products (NVIDIA's data sheets); the
first that fits."""


def peak_flops(device: str) -> float | None:
    """Dense bfloat16 FLOP per second of a device by the name that its driver gives.

    Returns:
        None for one that is not in the table, a processor for example.
    """
    return next((flops for part, flops in _PEAKS if part in device), None)
