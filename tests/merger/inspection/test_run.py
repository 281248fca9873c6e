"""`bedside merger inspect` on tiny models."""

from __future__ import annotations

import json

import pytest

from bedside_core.errors import InputError
from bedside_core.run import Run
from bedside_merger.config import MergerConfig
from bedside_merger.inspection.run import human, inspect


@pytest.fixture
def inspecting(run: Run) -> Run:
    return Run(run.name, "merger", "inspect", run.registry)


def test_a_table_a_report_and_a_picture(inspecting, add, capsys):
    add("base", seed=1)
    add("checkpoint", seed=1, drift=1e-3)
    inspect(MergerConfig(), inspecting)
    out = capsys.readouterr().out
    assert "base and checkpoint have the same 2 layers" in out
    assert "SLERP interpolates 20 of 20 tensors linearly" in out
    artifact = inspecting.input("inspection")
    assert set(artifact.manifest.parents) == {"base", "checkpoint"}
    report = json.loads(artifact.file("angles.json").read_bytes())
    assert report["components"]["mlp.up_proj"]["tensors"] == 2
    assert report["components"]["mlp.up_proj"]["num_parameters"] == 2 * 16 * 24
    one = report["tensors"]["model.layers.1.mlp.up_proj.weight"]
    assert one["branch"] == "linear"
    assert 0 < one["degrees"] < 1.8
    assert artifact.file("angles.svg").read_text().startswith("<svg")
    inspect(MergerConfig(preset="ties"), inspecting)
    assert "reused" in capsys.readouterr().out


def test_unrelated_models_are_spherical(inspecting, add, capsys):
    add("base", seed=1)
    add("checkpoint", seed=2)
    inspect(MergerConfig(), inspecting)
    lines = capsys.readouterr().out.splitlines()
    assert next(x for x in lines if x.startswith("mlp.up_proj ")).endswith("spherical")


def test_what_cannot_be_merged_is_said(inspecting, add):
    add("base", seed=1)
    add("checkpoint", seed=2, hidden_size=32)
    with pytest.raises(InputError, match="hidden_size is 16 in the base, 32 in the other"):
        inspect(MergerConfig(), inspecting)
    assert inspecting.registry.slot("tiny", "inspection") is None


def test_numbers_for_people() -> None:
    assert [human(n) for n in (7, 1_234, 134_515_008, 7_615_616_512)] == [
        "7", "1.23 k", "135 M", "7.62 B",
    ]  # fmt: skip
