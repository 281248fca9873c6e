"""Every method of mergekit through its Python API, against its command line on one document."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from mergekit.scripts.run_yaml import main as mergekit_yaml
from safetensors.torch import load_file

from bedside_core.errors import InputError
from bedside_merger.export import export, rounder
from bedside_merger.merge import Merge, by_path, document, models_of
from bedside_merger.methods import METHODS
from bedside_merger.presets import PRESETS
from bedside_merger.stream import merged_tensors

MILESTONES = ("checkpoint", "checkpoint/milestones/step-1", "checkpoint/milestones/step-2")
GRADIENT = [{"filter": "mlp", "value": [0.2, 1]}, {"value": 0.5}]


def of(method: str, *models: str, **parameters: Any) -> Merge:
    return Merge.model_validate(
        {"method": method, "parameters": parameters, "models": [{"model": m} for m in models]}
    )


SPARSE = {"weight": GRADIENT, "density": 0.6}
MERGES = {
    "arcee_fusion": of("arcee_fusion"),
    "breadcrumbs": of("breadcrumbs", **SPARSE, gamma=0.05),
    "breadcrumbs_ties": of("breadcrumbs_ties", *MILESTONES, **SPARSE),
    "dare_linear": of("dare_linear", **SPARSE),
    "dare_ties": of("dare_ties", *MILESTONES, **SPARSE),
    "della": of("della", *MILESTONES, **SPARSE, epsilon=0.1),
    "della_linear": of("della_linear", **SPARSE),
    "karcher": of("karcher", max_iter=5),
    "linear": of("linear", *MILESTONES, weight=1),
    "model_stock": of("model_stock", *MILESTONES),
    "multislerp": of("multislerp", *MILESTONES, weight=1),
    "nearswap": of("nearswap", t=0.01),
    "nuslerp": of("nuslerp", weight=GRADIENT),
    "passthrough": of("passthrough", "checkpoint", scale=0.5),
    "ram": of("ram", *MILESTONES),
    "ramplus_tl": of("ramplus_tl", *MILESTONES),
    "sce": of("sce", *MILESTONES, select_topk=0.5),
    "slerp": of("slerp", t=GRADIENT),
    "task_arithmetic": of("task_arithmetic", weight=GRADIENT),
    "ties": of("ties", *MILESTONES, **SPARSE),
    **{f"preset {name}": merge for name, merge in PRESETS.items()},
}
"""One of each method, with what only it has."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, write_model: Callable[..., None]) -> Path:
    here = tmp_path_factory.mktemp("models")
    write_model(here / "base", 1, dtype=torch.bfloat16, num_hidden_layers=3)
    write_model(here / "checkpoint", 1, drift=0.05, num_hidden_layers=3)
    for number in (1, 2):
        path = here / "checkpoint" / "milestones" / f"step-{number}"
        write_model(path, 1, drift=0.02 * number, num_hidden_layers=3)
    return here


def test_every_method_is_here() -> None:
    assert {merge.method for merge in MERGES.values()} == set(METHODS)


@pytest.mark.parametrize("name", sorted(MERGES))
def test_the_bytes_of_the_command_line(tmp_path: Path, folders: Path, name: str) -> None:
    merge = MERGES[name]
    models = models_of(merge, folders / "base", folders / "checkpoint")
    plan = document(merge, models, "bfloat16", by_path)
    (tmp_path / "merge.json").write_text(json.dumps(plan))  # which is YAML, too
    arguments = [str(tmp_path / "merge.json"), str(tmp_path / "theirs"), "--random-seed", "7"]
    done = CliRunner().invoke(mergekit_yaml, [*arguments, "--quiet", "--no-copy-tokenizer"])
    assert done.exit_code == 0, done.exception
    (tmp_path / "ours").mkdir()
    rounded = rounder("bfloat16", "nearest", 0)
    export(merged_tensors(plan, 7), folders / "base", tmp_path / "ours", rounded)
    ours, theirs = (tmp_path / side / "model.safetensors" for side in ("ours", "theirs"))
    assert ours.read_bytes() == theirs.read_bytes()


def collected(plan: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in merged_tensors(plan, seed)}


def test_random_methods_follow_the_seed_and_leave_torch_alone(folders: Path) -> None:
    merge = MERGES["dare_linear"]
    models = models_of(merge, folders / "base", folders / "checkpoint")
    plan = document(merge, models, "bfloat16", by_path)
    before = torch.random.get_rng_state()
    one, same, other = (collected(plan, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_merge_is_of_float32(folders: Path) -> None:
    """Half of base and half of checkpoint, without a rounding on the way."""
    merge = of("linear", weight=1)
    models = models_of(merge, folders / "base", folders / "checkpoint")
    base, other = (
        load_file(folders / name / "model.safetensors") for name in ("base", "checkpoint")
    )
    for name, tensor in merged_tensors(document(merge, models, "bfloat16", by_path), 0):
        assert tensor.dtype == torch.float32
        expected = (base[name].double() + other[name].double()) / 2
        assert torch.allclose(tensor.double(), expected, rtol=1e-6, atol=1e-9)


def test_failure_of_mergekit_gives_a_clear_error(tmp_path: Path, write_model: Any) -> None:
    """mergekit knows Llama and demands its tensors: here the norm has another name."""
    from safetensors.torch import save_file

    for name in ("base", "checkpoint"):
        write_model(tmp_path / name, 1)
        file = tmp_path / name / "model.safetensors"
        weights = load_file(file)
        weights["model.secret_name.weight"] = weights.pop("model.norm.weight")
        save_file(weights, file, metadata={"format": "pt"})
    merge = PRESETS["parcomed"]
    plan = document(
        merge, models_of(merge, tmp_path / "base", tmp_path / "checkpoint"), "bfloat16", by_path
    )
    with pytest.raises(InputError, match="mergekit cannot merge these models") as error:
        list(merged_tensors(plan, 0))
    assert "norm.weight" not in str(error.value)  # a foreign message is not passed on
