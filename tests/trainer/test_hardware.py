from __future__ import annotations

import pytest

from bedside_trainer.hardware import peak_flops


@pytest.mark.parametrize(
    ("device", "flops"),
    [
        ("NVIDIA H200", 989e12), ("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-40GB", 312e12), ("NVIDIA A100 80GB PCIe", 312e12),
        ("cpu", None), ("Tesla V100-SXM2-32GB", None),
    ],
)  # fmt: skip
def test_a_device_is_known_by_its_drivers_name(device: str, flops: float | None) -> None:
    assert peak_flops(device) == flops
