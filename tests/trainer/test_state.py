"""A state holds all that a training goes on from, bit for bit, and none that is damaged is used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bedside_models.scores import Estimand, Scores, TextScore
from bedside_trainer import state
from bedside_trainer.state import Point, StateRecord, find_state, load_tensors, save_state

BEFORE = Scores(
    estimand=Estimand(prefix_token="<s>", max_length=8, dtype="float32"),
    texts=(TextScore(id="a", nll=1.5, tokens=2, bytes=5),),
)


def record(step: int) -> StateRecord:
    curve = tuple(
        Point(step=n, loss=1 / 3, learning_rate=0.1, grad_norm=2.0, tokens=7 * n)
        for n in range(1, step + 1)
    )
    return StateRecord(step=step, seconds=0.1 + step, curve=curve, before=BEFORE)


def made() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    return model, torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)


def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
    model(inputs).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_a_training_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole, optimizer = made()
    for seed in range(4):
        step(whole, optimizer, seed)
        if seed == 1:
            save_state(tmp_path, whole, optimizer, record(2))
    resumed, again = made()
    found = find_state(tmp_path)
    assert found is not None
    path, kept = found
    assert kept.model_copy(update={"files": {}}) == record(2)
    load_tensors(path, resumed, again, torch.device("cpu"))
    for seed in (2, 3):
        step(resumed, again, seed)
    pairs = zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_newest_state_is_the_only_one(tmp_path: Path) -> None:
    model, optimizer = made()
    for number in (1, 2, 10):
        step(model, optimizer, number)
        save_state(tmp_path, model, optimizer, record(number))
    [left] = tmp_path.iterdir()
    found = find_state(tmp_path)
    assert found is not None and found[0] == left and found[1].step == 10


def test_a_write_that_fails_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, optimizer = made()
    step(model, optimizer, 1)
    save_state(tmp_path, model, optimizer, record(1))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "write_synced", full)
    with pytest.raises(OSError, match="No space"):
        save_state(tmp_path, model, optimizer, record(2))
    monkeypatch.undo()
    found = find_state(tmp_path)
    assert found is not None and found[1].step == 1
    save_state(tmp_path, model, optimizer, record(2))
    assert [path.name[:17] for path in tmp_path.iterdir()] == ["step-000000000002"]


@pytest.mark.parametrize("name", [state.MODEL, state.OPTIMIZER, state.RECORD])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_state_is_removed_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, damage: str
) -> None:
    model, optimizer = made()
    step(model, optimizer, 1)
    save_state(tmp_path, model, optimizer, record(1))
    [path] = tmp_path.iterdir()
    raw = (path / name).read_bytes()
    if damage == "gone":
        (path / name).unlink()
    else:
        middle = len(raw) // 2
        flipped = raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :]
        (path / name).write_bytes(flipped if damage == "flipped" else raw[:middle])
    assert find_state(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    assert "is damaged" in capsys.readouterr().out
