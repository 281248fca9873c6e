"""The pilot from the command line to its report, on a model that learns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedside_core import cli
from bedside_core.errors import InputError
from bedside_trainer.pilot import verb
from bedside_trainer.pilot.verb import pilot

SHORT = {"num_epochs": 30, "batch_size": 1, "step": {"micro_batch_tokens": 32}}


def piloted(
    house: Any, capsys: Any, monkeypatch: Any, **changes: Any
) -> tuple[dict[str, Any], str]:
    """What the verb wrote and said."""
    section = house.config(**SHORT, **changes).model_dump(mode="json")
    section["pilot"] = {"share": 0.2}
    config = house.registry.home.parent / "run.yaml"
    config.write_text(yaml.safe_dump({"name": "test", "trainer": section}))
    monkeypatch.setenv("BEDSIDE_HOME", str(house.registry.home))
    assert cli.main(["trainer", "pilot", "--config", str(config)]) == 0
    said = capsys.readouterr().out
    (report,) = house.registry.home.glob("work/pilot-*/pilot.json")
    return json.loads(report.read_text()), said


@pytest.fixture
def house(furnished: Any, tmp_path: Path) -> Any:
    return furnished.copy(tmp_path / "home")


def test_from_the_command_line_to_the_report(house: Any, capsys: Any, monkeypatch: Any) -> None:
    report, said = piloted(house, capsys, monkeypatch)
    assert report["heldout"] == "ward"
    assert sum(report["rungs"]) <= 0.2 * report["steps"]
    ward = report["sets"]["ward"]
    assert ward["low"] <= ward["median"] <= ward["high"]
    # Twelve texts of nine words are learned at once.
    assert ward["rungs"][-1] < 0
    assert report["verdict"] in said
    assert "what later epochs" in said
    (room,) = house.registry.home.glob("work/pilot-*")
    assert (room / "pilot.png").stat().st_size > 0
    assert not house.registry.slot("test", "checkpoint")

    # A second call trains nothing, a killed one what is missing, and both say the same.
    trained = []
    monkeypatch.setattr(verb, "loaded", lambda *_: trained.append(1) or pytest.fail("trained"))
    assert piloted(house, capsys, monkeypatch)[0] == report


def test_a_killed_pilot_goes_on(house: Any, capsys: Any, monkeypatch: Any) -> None:
    report, _ = piloted(house, capsys, monkeypatch)
    rungs = sorted(house.registry.home.glob("work/pilot-*/rung-*.json"))
    assert len(rungs) == 4
    rungs[-1].write_text("{")
    calls = []
    load = verb.loaded
    monkeypatch.setattr(verb, "loaded", lambda *a: calls.append(1) or load(*a))
    assert piloted(house, capsys, monkeypatch)[0] == report
    assert len(calls) == 1


def test_too_few_steps_are_refused_before_anything_is_trained(house: Any) -> None:
    with pytest.raises(InputError, match=r"gives a pilot of 0 steps, at least 28 are needed"):
        pilot(house.config(), house.run("trainer", "pilot"))
