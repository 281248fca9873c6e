"""Accelerators by name: what their makers print, and which share of it trainings have reached.

Tested in tests/trainer/test_hardware.py.
"""

from __future__ import annotations

from typing import NamedTuple

GIB = 2**30
PER_NODE = 8
"""Accelerators of a machine, as in every published figure below."""


class Hardware(NamedTuple):
    """One kind of accelerator, eight in a machine."""

    name: str
    memory: int
    """Bytes, as the driver reports them, rounded down."""
    flops: float
    """Of dense bfloat16 products per second (NVIDIA's data sheets)."""
    watts: float
    """An eighth of what the machine draws at most: processors, fans and network included."""
    utilisation: tuple[float, float]
    """Lowest and highest share of `flops` published for models of 7 to 8 billion parameters in
    bfloat16, attention counted; what is computed again for want of memory is work as well."""
    source: str
    """Of both shares."""


_DGX_A100, _DGX_H100 = 6_500 / PER_NODE, 10_200 / PER_NODE
"""Watts: data sheets of the DGX A100, and of the DGX H100 and H200."""
_ON_A100 = (
    "BioMistral (1,950 tokens/s of a 7B at 2,048, on A100-80) and llm-foundry (64.2 %, 7B at "
    "2,048, on 8 A100-80)"
)
_ON_H100 = (
    "torchtitan (33 %, 8B at 8,192, on 8 H100, not compiled) and llm-foundry (46.4 %, 7B at 2,048, "
    "on 8 H100)"
)
HARDWARE = {
    one.name: one
    for one in (
        Hardware("A100-40", 39 * GIB, 312e12, _DGX_A100, (0.29, 0.642), _ON_A100),
        Hardware("A100-64", 63 * GIB, 312e12, _DGX_A100, (0.29, 0.642), _ON_A100),
        Hardware("A100-80", 79 * GIB, 312e12, _DGX_A100, (0.29, 0.642), _ON_A100),
        Hardware("H100", 79 * GIB, 989e12, _DGX_H100, (0.33, 0.464), _ON_H100),
        Hardware(
            "H200", 139 * GIB, 989e12, _DGX_H100, (0.33, 0.464),
            f"{_ON_H100}, as none was published for the H200",
        ),
    )
}  # fmt: skip
"""By the name that a plan asks for. A100-64 is the Leonardo cluster's own, taken as an A100."""
PER_DOUBLING = (6_514 / 6_667) ** (1 / 4)
"""Share of the speed that is left when machines double: 128 devices had 6,514 tokens/s each, eight
6,667 (torchtitan, 8B, December 2024). Beyond 128 nothing was published that fits here."""
_PEAKS = (("H200", 989e12), ("H100 PCIe", 756e12), ("H100", 989e12), ("A100", 312e12))
"""Part of the name that a driver gives, and FLOP per second; the first that fits."""


def peak_flops(device: str) -> float | None:
    """Dense bfloat16 FLOP per second of a device by the name that its driver gives.

    Returns:
        None for one that is not in the table, a processor for example.
    """
    return next((flops for part, flops in _PEAKS if part in device), None)
