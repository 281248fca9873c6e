"""The self-test passes what is equal, fails what is not, and kills what it started."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bedside_core.cli import main
from bedside_core.errors import ConfigError, PolicyError
from bedside_core.registry.registry import Registry
from bedside_trainer.selftest import trials
from bedside_trainer.selftest.trials import Result, SelftestOptions, Trial, passes, selftest

WHOLE = Result((2.0, 1.0), "a", "rows")


@pytest.mark.parametrize(
    ("losses", "weights", "alone", "several"),
    [
        ((2.0, 1.0), "a", True, True),
        ((2.0, 1.0), "b", False, True),
        ((2.0, 1.00009), "b", False, True),
        ((2.0, 1.0002), "b", False, False),
        ((2.0,), "a", False, False),
    ],
)
def test_what_passes(
    losses: tuple[float, ...],
    weights: str,
    alone: bool,
    several: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = Result(losses, weights, "rows")
    for kind, exact in (("cpu x86_64", alone), ("NVIDIA H200", several)):
        monkeypatch.setattr(trials, "device_kind", lambda kind=kind: kind)
        assert passes(Trial("", (1, 1)), WHOLE, result) == exact
        assert passes(Trial("", (1, 2)), WHOLE, result) == several


def test_another_order_of_rows_never_passes() -> None:
    result = Result(WHOLE.losses, WHOLE.weights, "others")
    assert not passes(Trial("", (1, 2)), WHOLE, result)


@pytest.mark.parametrize("seed", range(5))
def test_kills_come_one_after_another_and_before_the_end(seed: int) -> None:
    for starts in (2, 3):
        chance = trials.random.Random(seed)
        steps = [trials._after(number, starts, chance) for number in range(starts - 1)]
        assert steps == sorted(set(steps))
        assert steps[0] >= 1 and steps[-1] <= trials.STEPS * 3 // 4


def test_settings_of_a_run_config_are_tested(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    section = {"heldout": "ward", "learning_rate": 1e-3, "weight_decay": 0.5, "max_steps": 7}
    path.write_text(yaml.safe_dump({"name": "ward", "trainer": section}))
    found = trials.settings(path)
    assert (found["learning_rate"], found["weight_decay"]) == (1e-3, 0.5)
    assert (found["max_steps"], found["heldout"]) == (trials.STEPS, "selftest")
    path.write_text(yaml.safe_dump({"name": "ward", "trainer": section | {"batch_sise": 1}}))
    with pytest.raises(ConfigError, match="batch_sise"):
        trials.settings(path)


def test_a_training_that_ends_otherwise_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = iter([WHOLE, WHOLE, Result((2.0, 1.1), "b", "rows")])
    monkeypatch.setattr(trials, "run", lambda *_: next(results))
    with pytest.raises(PolicyError, match=r"FAIL: two go on, then one - .* --seed 5` repeats it"):
        selftest(Registry(tmp_path), SelftestOptions(seed=5))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[-2:]] == ["pass", "FAIL"]
    assert list(tmp_path.iterdir()) == []


def test_a_training_is_killed_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trials, "TRIALS", (Trial("killed", (1, 1)),))
    assert main(["trainer", "selftest"]) == 0, capsys.readouterr().err
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("PASS")
    assert lines[-2].split()[-3:] == ["same", "bytes", "pass"]
