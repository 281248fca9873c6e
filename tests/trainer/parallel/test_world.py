"""Who a process is among others; several of them train in tests/trainer/test_many.py."""

from __future__ import annotations

import pytest
import torch

from bedside_core.errors import ConfigError, InputError
from bedside_trainer.parallel.world import World, _losses, alone, joined

CPU = torch.device("cpu")


def test_a_process_alone_waits_for_others() -> None:
    world = alone(CPU)
    assert world == World(0, 1, 0, 1, CPU)
    assert world.is_first
    assert world.summed(1.5, 2) == [1.5, 2]
    assert world.any(True)
    assert not world.any(False)
    with world.leading() as tell:
        tell("nobody hears")


def test_a_launcher_that_says_half_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match=r"WORLD_SIZE is 2, and RANK, .* not set"), joined(CPU):
        pass


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("[gloo/transport/tcp/pair.cc:546] Connection closed by peer"), True),
        (torch.distributed.DistBackendError("NCCL communicator was aborted"), True),
        (RuntimeError("expected scalar type Float"), False),
    ],
)
def test_a_lost_process_is_a_bug_of_ours(error: RuntimeError, lost: bool) -> None:
    with pytest.raises(InputError if lost else RuntimeError) as caught, _losses():
        raise error
    assert ("lost another process" in str(caught.value)) == lost
