"""A state holds all that a training goes on from, bit for bit, and none that is damaged is used."""

from __future__ import annotations

import errno
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from bedside_core.errors import ArtifactError
from bedside_models.scores import Estimand, Scores, TextScore
from bedside_trainer.parallel.world import World
from bedside_trainer.state import room, saving, states
from bedside_trainer.state.config import StatesConfig
from bedside_trainer.state.record import INDEX, RECORD, Point, StateRecord
from bedside_trainer.state.states import States

ALONE = World(0, 1, 0, 1, torch.device("cpu"))
BEFORE = Scores(
    estimand=Estimand(prefix_token="<s>", max_length=8, dtype="float32"),
    texts=(TextScore(id="a", nll=1.5, tokens=2, bytes=5),),
)
MODEL, OPTIMIZER = "model-00000.safetensors", "optimizer-00000.safetensors"


class Training(NamedTuple):
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer

    def step(self, seed: int) -> None:
        inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
        self.model(inputs).square().mean().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def weights(self) -> list[torch.Tensor]:
        return [value.clone() for value in self.model.state_dict().values()]


def record(step: int, **extras: Any) -> StateRecord:
    curve = tuple(
        Point(step=n, loss=1 / 3, learning_rate=0.1, grad_norm=2.0, tokens=7 * n)
        for n in range(1, step + 1)
    )
    return StateRecord(step=step, seconds=0.1 + step, curve=curve, before=BEFORE, extras=extras)


def made(dtype: torch.dtype = torch.float32) -> Training:
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    model.register_buffer("scale", torch.ones(2))
    model.register_buffer("cache", torch.ones(2), persistent=False)
    model.to(dtype)
    frozen = model.get_parameter("2.bias").requires_grad_(False)
    assert not frozen.requires_grad
    trained = [p for p in model.parameters() if p.requires_grad]
    return Training(model, torch.optim.AdamW(trained, lr=0.1, fused=True))


def opened(work: Path, keep: int = 2, **changes: Any) -> States:
    return States(work, StatesConfig(keep=keep), ALONE, **changes)


def saved(work: Path, *steps: int, keep: int = 2, milestones: tuple[int, ...] = ()) -> None:
    """A training that saved after these steps."""
    training = made()
    with opened(work, keep) as all_states:
        for step in steps:
            training.step(step)
            all_states.save(*training, record(step), milestone=step in milestones)


def names(work: Path) -> list[str]:
    return sorted(path.name[:-17] for path in work.iterdir())


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "0123456789abcdef"
    path.mkdir()
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(states, "GRACE_SECONDS", 0.1)


def test_a_training_goes_on_as_if_nothing_had_happened(work: Path) -> None:
    whole = made()
    with opened(work) as all_states:
        for seed in range(4):
            whole.step(seed)
            if seed == 1:
                all_states.save(*whole, record(2, spikes={"seen": [1 / 3]}))
    resumed = made()
    with opened(work) as all_states:
        found = all_states.newest()
        assert found is not None
        bound = {"recipe": work.name, "index": found.record.index}
        assert found.record == record(2, spikes={"seen": [1 / 3]}).model_copy(update=bound)
        all_states.load(found, *resumed)
    for seed in (2, 3):
        resumed.step(seed)
    assert all(map(torch.equal, whole.weights(), resumed.weights()))


def test_what_is_frozen_or_not_persistent_is_in_no_state(work: Path) -> None:
    saved(work, 1)
    with opened(work) as all_states:
        found = all_states.newest()
    assert found is not None
    assert set(found.index.shards[MODEL].tensors) == {"0.weight", "0.bias", "2.weight", "scale"}


def test_moments_of_another_type(work: Path) -> None:
    training = made(torch.bfloat16)
    model, optimizer = training
    for number, parameter in enumerate(p for p in model.parameters() if p.requires_grad):
        parameter.grad = torch.full_like(parameter, 0.1 + number)
    optimizer.step()
    again = made(torch.bfloat16)
    with opened(work) as all_states:
        all_states.save(*training, record(1))
        all_states.wait()
        found = all_states.newest()
        assert found is not None
        all_states.load(found, *again)
    for before, after in zip(optimizer.state.values(), again.optimizer.state.values(), strict=True):
        assert after["exp_avg"].dtype == torch.bfloat16
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_newest_states_stay(work: Path) -> None:
    saved(work, 1, 2, 10, 11)
    assert names(work) == ["step-000000000010", "step-000000000011"]
    with opened(work) as all_states:
        found = all_states.newest()
    assert found is not None and found.record.step == 11


def test_after_going_back_no_state_of_the_abandoned_steps_is_left(work: Path) -> None:
    saved(work, 1, 2, 3, 4, keep=4, milestones=(3,))
    saved(work, 2, keep=4)
    assert names(work) == ["milestone-000000000003", "step-000000000001", "step-000000000002"]
    saved(work, 3, keep=4, milestones=(3,))
    assert len(names(work)) == 4


def test_the_weights_of_a_milestone_stay(work: Path) -> None:
    saved(work, 1, 2, 3, keep=1, milestones=(1, 3))
    assert names(work) == ["milestone-000000000001", "milestone-000000000003", "step-000000000003"]
    twin = made()
    twin.step(1)
    training = made()
    with opened(work) as all_states:
        first, last = all_states.milestones()
        assert (first.record.step, last.record.step) == (1, 3)
        assert set(first.index.shards) == {MODEL}
        all_states.load(first, training.model)
    assert all(map(torch.equal, twin.weights(), training.weights()))


def test_training_goes_on_while_a_state_is_written(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, write = threading.Event(), saving.write_shard

    def slow(*words: Any) -> Any:
        assert go_on.wait(10)
        return write(*words)

    monkeypatch.setattr(saving, "write_shard", slow)
    training = made()
    training.step(1)
    before = training.weights()
    with opened(work) as all_states:
        all_states.save(*training, record(1))
        training.step(2)
        all_states.poll()
        assert names(work) != ["step-000000000001"]
        go_on.set()
        all_states.wait()
        found = all_states.newest()
        assert found is not None
        again = made()
        all_states.load(found, *again)
    assert all(map(torch.equal, before, again.weights()))


def test_without_memory_for_a_copy_the_training_waits(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(states, "available_bytes", lambda: 100)
    training = made()
    with opened(work) as all_states:
        for step in (1, 2):
            training.step(step)
            all_states.save(*training, record(step))
            assert f"step-{step:012d}" in names(work)
    assert capsys.readouterr().out.count("training waits while a state is written") == 1


def failing(monkeypatch: pytest.MonkeyPatch, number: int, times: int) -> None:
    """Let the end of a shard meet an error of the system so many times."""
    write, left = saving.write_synced, [times]

    def wrapped(path: Path, raw: bytes) -> None:
        if left[0]:
            left[0] -= 1
            raise OSError(number, "told by the test")
        write(path, raw)

    monkeypatch.setattr(saving, "write_synced", wrapped)


def test_a_write_that_fails_is_told_at_the_next_step_and_leaves_the_state_before(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = made()
    training.step(1)
    with pytest.raises(OSError, match="told by the test"), opened(work) as all_states:
        all_states.save(*training, record(1))
        all_states.wait()
        failing(monkeypatch, errno.EIO, 1)
        all_states.save(*training, record(2))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            all_states.poll()
            time.sleep(0.01)
    with opened(work) as all_states:
        found = all_states.newest()
        assert found is not None and found.record.step == 1
        all_states.save(*training, record(2))
    assert names(work) == ["step-000000000001", "step-000000000002"]


@pytest.mark.parametrize("times", [1, 2, 3], ids=["shards", "twice", "thrice"])
def test_a_full_disk_makes_the_training_wait(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], times: int
) -> None:
    failing(monkeypatch, errno.ENOSPC, times)
    saved(work, 1)
    assert names(work) == ["step-000000000001"]
    out = capsys.readouterr().out
    assert "disk full: the state of step 1 needs" in out
    assert "there is room again: the state of step 1 is written" in out


def test_a_disk_that_is_full_from_the_start_is_not_written_to(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = shutil.disk_usage
    answers: Iterator[int] = iter([0, 0, 0])

    def usage(path: Path) -> Any:
        free = next(answers, None)
        return real(path) if free is None else real(path)._replace(free=free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    saved(work, 1)
    assert names(work) == ["step-000000000001"]
    out = capsys.readouterr().out
    assert f"in {work}, 0 MiB are free - make room" in out
    assert "there is room again" in out


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(path)._replace(free=0))


def test_a_signal_ends_the_waiting_for_room(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(work, 1)
    full(monkeypatch)
    stop = threading.Event()
    training = made()
    training.step(1)
    with (
        pytest.raises(KeyboardInterrupt),
        opened(work, stopped=stop.is_set) as all_states,
    ):
        all_states.save(*training, record(2))
        time.sleep(0.1)
        all_states.poll()
        stop.set()
        all_states.wait()
    assert "stopped while the disk is full: the state before" in capsys.readouterr().out
    monkeypatch.undo()
    with opened(work) as all_states:
        found = all_states.newest()
    assert found is not None and found.record.step == 1
    assert names(work) == ["step-000000000001"]


def test_an_error_does_not_wait_for_room(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full(monkeypatch)
    training = made()
    training.step(1)
    with pytest.raises(ZeroDivisionError), opened(work) as all_states:
        all_states.save(*training, record(1))
        raise ZeroDivisionError


def test_an_error_lets_the_state_in_writing_be_finished(work: Path) -> None:
    training = made()
    training.step(1)
    with pytest.raises(ZeroDivisionError), opened(work) as all_states:
        all_states.save(*training, record(1))
        raise ZeroDivisionError
    assert names(work) == ["step-000000000001"]


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


DAMAGE: dict[str, Callable[[Path], None]] = {"flipped": flip, "cut": cut, "gone": Path.unlink}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_states_are_named_and_counted_and_the_one_before_is_used(
    work: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    files = (MODEL, OPTIMIZER, INDEX, RECORD)
    saved(work, *range(len(files) + 1), keep=9)
    for path, name in zip(sorted(work.iterdir())[1:], files, strict=True):
        DAMAGE[damage](path / name)
    with opened(work) as all_states:
        found = all_states.newest()
    assert found is not None and found.record.step == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:23] for line in lines] == [f"state step-{n:012d}" for n in (4, 3, 2, 1)]
    assert [line[-12:] for line in lines] == [f"{n} older left" for n in (4, 3, 2, 1)]
    assert names(work) == ["step-000000000000"]


def test_a_record_of_another_schema_is_damage(work: Path) -> None:
    saved(work, 1)
    [path] = work.iterdir()
    raw = b'{"step": 1}'
    (path / RECORD).write_bytes(raw)
    path.rename(work / states.name_of("step", 1, raw))
    with opened(work) as all_states:
        assert all_states.newest() is None


def test_a_state_of_another_recipe_is_refused_and_kept(work: Path) -> None:
    saved(work, 1)
    other = work.with_name("fedcba9876543210")
    work.rename(other)
    with (
        opened(other) as all_states,
        pytest.raises(ArtifactError, match=r"recipe 0123.*, not of f"),
    ):
        all_states.newest()
    assert names(other) == ["step-000000000001"]


def test_a_state_of_another_model_is_refused(work: Path) -> None:
    saved(work, 1)
    model = torch.nn.Linear(3, 4)
    other = Training(model, torch.optim.AdamW(model.parameters(), lr=0.1))
    with opened(work) as all_states:
        found = all_states.newest()
        assert found is not None
        with pytest.raises(ArtifactError, match="not a state of this model"):
            all_states.load(found, *other)
    assert names(work) == ["step-000000000001"]


def test_what_a_killed_training_was_writing_is_removed(work: Path) -> None:
    saved(work, 1)
    torn = work / "writing-abc-000000000002"
    torn.mkdir()
    (torn / MODEL).write_bytes(b"torn")
    with opened(work) as all_states:
        found = all_states.newest()
    assert found is not None and found.record.step == 1
    assert names(work) == ["step-000000000001"]
