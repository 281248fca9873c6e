"""A container's quota counts beside the cores that a process is bound to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bedside_core.cpus import available_cpus


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "300000 100000"}, 3),
        ("0::/\n", {"cpu.max": "250000 100000"}, 3),
        ("0::/\n", {"cpu.max": "5000 100000"}, 1),
        ("0::/\n", {"cpu.max": "max 100000"}, 8),
        ("0::/\n", {"cpu.max": "6400000 100000"}, 8),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, 2),
        ("0::/host/name/of/it\n", {"cpu.max": "400000 100000"}, 4),
        (
            "4:memory:/\n3:cpu,cpuacct:/docker/x\n",
            {"cpu/docker/x/cpu.cfs_quota_us": "150000", "cpu/docker/x/cpu.cfs_period_us": "50000"},
            3,
        ),
        (
            "1:cpu:/docker/x\n0::/\n",
            {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"},
            2,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ("2:cpuset:/\n", {"cpuset/cpu.cfs_quota_us": "1"}, 8),
    ],
)
def test_quotas_of_both_versions(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    membership: str,
    files: dict[str, str],
    expected: int,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for name, content in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    (tmp_path / "self").write_text(membership)
    assert available_cpus(tmp_path / "cgroup", tmp_path / "self") == expected


def test_without_control_groups_the_cores_count(tmp_path: Path) -> None:
    assert available_cpus(tmp_path, tmp_path / "none") == len(os.sched_getaffinity(0))
