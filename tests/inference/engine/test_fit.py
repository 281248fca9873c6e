"""What the engine refuses before vLLM starts, on real safetensors files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bedside_core import memory
from bedside_core.artifacts import Artifact
from bedside_core.config import Config
from bedside_core.errors import InputError
from bedside_core.kinds.model import tensor_shapes
from bedside_core.kinds.serving import served_identity
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_inference.config import EngineConfig, InferenceConfig
from bedside_inference.engine import launch
from bedside_inference.engine.fit import check_complete, check_memory

SHAPES = {"a.weight": (2, 3), "b.weight": (4,), "c.weight": (), "d.weight": (1, 1)}
Shapes = dict[str, tuple[int, ...]]


class Step(Config):
    number: int = 0


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run("test", "inference", "engine", Registry(tmp_path / "home"))


def put(run: Run, kind: str, shapes: Shapes, parents: dict[str, Artifact]) -> Artifact:
    recipe = run.recipe(Step(number=len(shapes)), parents=parents)
    with run.write(kind, recipe) as writer:
        tensors = {name: torch.zeros(shape) for name, shape in shapes.items()}
        save_file(tensors, writer.path / "model.safetensors", metadata={"format": "pt"})
        (writer.path / "config.json").write_text("{}")
        writer.facts["dtype"] = "bfloat16"
    return writer.result


def candidate(model: Artifact) -> launch.Candidate:
    return launch.Candidate(model, served_identity(model, EngineConfig()), None, None)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"a.weight": (2, 3)}, "3 tensor(s) missing: b.weight, c.weight, d.weight - "),
        ({}, "4 tensor(s) missing: a.weight, b.weight, c.weight and 1 more - "),
        (SHAPES | {"e.weight": (1,)}, "1 tensor(s) unknown to its base: e.weight - "),
        (SHAPES | {"a.weight": (3, 2)}, "1 tensor(s) of another shape: a.weight - "),
    ],
)
def test_an_incomplete_model_is_refused_by_its_tensors(
    run: Run, shapes: Shapes, words: str
) -> None:
    base = put(run, "base", SHAPES, {})
    whole = put(run, "merged", SHAPES, {"base": base})
    check_complete(whole, run.registry)
    model = put(run, "merged", shapes, {"base": base})
    with pytest.raises(InputError) as caught:
        check_complete(model, run.registry)
    assert words in str(caught.value)
    assert InputError.exit_code == 3


def test_shapes_are_read_and_damage_is_named(run: Run, tmp_path: Path) -> None:
    assert tensor_shapes(put(run, "base", SHAPES, {}).path) == SHAPES
    for content in (b"", b"w" * 100, b"\x02\0\0\0\0\0\0\0[]", b'\x08\0\0\0\0\0\0\0{"a": 1}'):
        (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(InputError, match="not a readable safetensors file"):
            tensor_shapes(tmp_path)


@pytest.mark.parametrize(("gib", "advice"), [(3, "set it to 2"), (0, "the weights alone take")])
def test_too_little_memory_names_the_setting(
    run: Run, monkeypatch: pytest.MonkeyPatch, gib: int, advice: str
) -> None:
    model = put(run, "base", SHAPES, {})
    monkeypatch.setattr(memory, "available_bytes", lambda: gib << 30)
    with pytest.raises(InputError) as caught:
        check_memory(EngineConfig(kv_cache_gib=4), "float32", model)
    assert "inference.engine.kv_cache_gib 4 needs at least 4.0 GiB" in str(caught.value)
    assert f"are available - {advice}" in str(caught.value)
    monkeypatch.setattr(memory, "available_bytes", lambda: 5 << 30)
    check_memory(EngineConfig(kv_cache_gib=4), "float32", model)


def test_the_engine_looks_before_it_starts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    base = put(run, "base", SHAPES, {})
    model = put(run, "merged", {"a.weight": (2, 3)}, {"base": base})
    monkeypatch.setattr(launch, "choose", lambda *_: candidate(model))
    with pytest.raises(InputError, match=r"3 tensor\(s\) missing"):
        launch.verify(InferenceConfig(), run)
    whole = put(run, "merged", SHAPES, {"base": base})
    monkeypatch.setattr(launch, "choose", lambda *_: candidate(whole))
    monkeypatch.setattr(launch, "vllm_build", lambda: "cpu")
    monkeypatch.setattr(launch.lifeline, "hold", lambda _: None)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 30)
    with pytest.raises(InputError, match="kv_cache_gib 4 needs at least"):
        launch.serve(InferenceConfig(), run)
