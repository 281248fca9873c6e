"""Measuring: how far it is, from the start."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bedside_core.cli import main

World = Any


def test_progress_knows_every_window_from_the_start(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside_core.progress.JSON_INTERVAL_SECONDS", 0)
    world.add_models()
    config = world.config(max_length=32)
    assert main(["eval", "plan", "--config", config]) == 0
    assert main(["eval", "run", "--config", config]) == 0
    err = capfd.readouterr().err
    lines = [json.loads(x) for x in err.splitlines() if x.startswith('{"progress": "examine"')]
    totals = {line["total"] for line in lines}
    assert len(totals) == 1
    assert totals.pop() > 3 * (32 + 24)
    assert max(line["done"] for line in lines) == lines[-1]["done"] == lines[-1]["total"]
    assert all(line["eta_seconds"] is None or line["eta_seconds"] >= 0 for line in lines)
