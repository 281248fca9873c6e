"""The export alone: shards, index, config, and the report of a whole merge recomputed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from bedside_core.errors import InputError
from bedside_merger.config import MergerConfig
from bedside_merger.export import export
from bedside_merger.slerp import merge_exactly


@pytest.fixture
def directories(tmp_path: Path, write_model: Callable[..., None]) -> tuple[Path, Path, Path]:
    base, other, exact = (tmp_path / name for name in ("base", "other", "exact"))
    write_model(base, 1, dtype=torch.bfloat16)
    write_model(other, 1, drift=1e-3)
    merge_exactly(MergerConfig(), 2, base, other, exact)
    target = tmp_path / "target"
    target.mkdir()
    return base, exact, target


def test_report_of_a_whole_merge(directories: tuple[Path, Path, Path]) -> None:
    base, exact, target = directories
    report = export(exact, base, target).report()
    before = load_file(base / "model.safetensors")
    after = load_file(exact / "model.safetensors")
    kept = load_file(target / "model.safetensors")
    assert {t.dtype for t in after.values()} == {torch.float32}

    def shares(names: list[str]) -> tuple[float, float, float]:
        b, m, r = (
            torch.cat([model[n].double().flatten() for n in names])
            for model in (before, after, kept)
        )
        update = (m - b).norm() ** 2
        return (
            float((m - b).norm() / b.norm()),
            float((r - m).norm() ** 2 / update),
            float(((r == b) & (m != b)).sum() / (m != b).sum()),
        )

    keys = ("relative_update", "lost_energy_share", "vanished_share")
    overall = report["overall"]
    assert [overall[k] for k in keys] == pytest.approx(shares(sorted(before)), rel=1e-6)
    attention = [name for name in before if "self_attn" in name]
    assert [report["groups"]["self_attn"][k] for k in keys] == pytest.approx(shares(attention))
    # The update is small against the weights, so rounding must cost something: the report sees it.
    assert 0.05 < overall["vanished_share"] < 0.95


def test_shards_load_as_one_model(directories: tuple[Path, Path, Path]) -> None:
    base, exact, target = directories
    export(exact, base, target, max_shard=2000)
    index = json.loads((target / "model.safetensors.index.json").read_text())
    files = sorted(target.glob("*.safetensors"))
    assert len(files) > 2
    assert set(index["weight_map"].values()) == {file.name for file in files}
    model = AutoModelForCausalLM.from_pretrained(target, local_files_only=True)
    for name, tensor in load_file(exact / "model.safetensors").items():
        assert torch.equal(model.state_dict()[name], tensor.to(torch.bfloat16))


def test_config_is_the_base_in_bfloat16(directories: tuple[Path, Path, Path]) -> None:
    base, exact, target = directories
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"torch_dtype": "float32", "note": "ä"}))
    export(exact, base, target)
    result = json.loads((target / "config.json").read_text())
    assert result == config | {"dtype": "bfloat16", "note": "ä"}


def test_other_tensors_than_the_base_are_refused(directories: tuple[Path, Path, Path]) -> None:
    base, exact, target = directories
    file = exact / "model.safetensors"
    weights = load_file(file)
    save_file({n: t for n, t in weights.items() if n != "model.norm.weight"}, file)
    with pytest.raises(InputError, match=r"model\.norm\.weight"):
        export(exact, base, target)
    assert list(target.iterdir()) == []
