"""No GPU here: the management library is played."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from bedside_trainer.watch.energy import Meter


class FakeLibrary:
    """As many GPUs as counters; a counter that is None is not supported."""

    def __init__(self, counters: dict[str, int | None], started: int = 0) -> None:
        self.counters, self.started = counters, started

    def nvmlInit_v2(self) -> int:  # noqa: N802 - NVML's name
        return self.started

    def nvmlDeviceGetHandleByUUID(self, name: Any, handle: Any) -> int:  # noqa: N802
        names = list(self.counters)
        if name.value.decode() not in names:
            return 6
        handle._obj.value = names.index(name.value.decode()) + 1
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, out: Any) -> int:  # noqa: N802
        counter = list(self.counters.values())[handle.value - 1]
        if counter is None:
            return 3
        out._obj.value = counter
        return 0


def test_counters_of_this_process_alone() -> None:
    library = FakeLibrary({"GPU-a": 1500, "GPU-b": 500, "GPU-of-others": 10**9})
    meter = Meter(["GPU-a", "GPU-b"], library)
    assert meter.joules() == 2.0
    library.counters["GPU-b"] = 2**40
    assert meter.joules() == pytest.approx(1.5 + 2**40 / 1000)


@pytest.mark.parametrize(
    ("uuids", "library"),
    [
        ([], FakeLibrary({})),
        (["GPU-a"], FakeLibrary({"GPU-a": None})),
        (["GPU-a"], FakeLibrary({})),
        (["GPU-a"], FakeLibrary({"GPU-a": 1}, started=9)),
    ],
    ids=["no GPU", "no counter", "unknown GPU", "no driver"],
)
def test_where_nothing_is_counted(uuids: list[str], library: FakeLibrary) -> None:
    assert Meter(uuids, library).joules() is None


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert Meter(["GPU-a"]).joules() is None
    assert Meter().joules() is None
