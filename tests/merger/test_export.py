"""The export alone: config, types, rounding, and the report of a whole merge recomputed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from bedside_core.errors import InputError
from bedside_merger.export import export, refuse_float16, rounder
from bedside_merger.rounding import Rounding
from bedside_merger.stream import Merged


class Folders(NamedTuple):
    base: Path
    exact: Path
    target: Path


@pytest.fixture
def folders(tmp_path: Path, write_model: Callable[..., None]) -> Folders:
    found = Folders(*(tmp_path / name for name in Folders._fields))
    write_model(found.base, 1, dtype=torch.bfloat16)
    for path in (found.exact, found.target):
        path.mkdir()
    return found


def moved(base: Path, without: str = "") -> list[Merged]:
    """What a merge could be: the base's tensors, each a little changed."""
    generator = torch.Generator().manual_seed(7)
    return [
        Merged(name, tensor.float() + 5e-4 * torch.randn(tensor.shape, generator=generator))
        for name, tensor in load_file(base / "model.safetensors").items()
        if name != without
    ]


def exported(folders: Folders, rounding: Any = "nearest", **settings: Any) -> Rounding:
    dtype = settings.get("dtype", "bfloat16")
    return export(
        moved(folders.base), folders.base, folders.target,
        rounder(dtype, rounding, 0), exact=folders.exact, **settings,
    )  # fmt: skip


def test_report_of_a_whole_merge(folders: Folders) -> None:
    report = exported(folders).report()
    before = load_file(folders.base / "model.safetensors")
    after = load_file(folders.exact / "model.safetensors")
    kept = load_file(folders.target / "model.safetensors")
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


def test_shards_load_as_one_model(folders: Folders) -> None:
    exported(folders, max_shard=2000)
    index = json.loads((folders.target / "model.safetensors.index.json").read_text())
    files = sorted(folders.target.glob("*.safetensors"))
    assert len(files) > 2
    assert set(index["weight_map"].values()) == {file.name for file in files}
    model = AutoModelForCausalLM.from_pretrained(folders.target, local_files_only=True)
    for name, tensor in moved(folders.base):
        assert torch.equal(model.state_dict()[name], tensor.to(torch.bfloat16))


def test_config_is_the_base_in_the_type_of_the_weights(folders: Folders) -> None:
    file = folders.base / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"torch_dtype": "float32", "note": "ä"}))
    exported(folders, dtype="float16")
    result = json.loads((folders.target / "config.json").read_text())
    assert result == config | {"dtype": "float16", "note": "ä"}


def test_float32_loses_nothing(folders: Folders) -> None:
    overall = exported(folders, dtype="float32").overall
    assert (overall.lost_energy, overall.num_vanished) == (0, 0)
    kept = load_file(folders.target / "model.safetensors")
    for name, tensor in moved(folders.base):
        assert torch.equal(kept[name], tensor)


def test_other_tensors_than_the_base_are_refused(folders: Folders) -> None:
    tensors = moved(folders.base, without="model.norm.weight")
    with pytest.raises(InputError, match=r"model\.norm\.weight"):
        export(tensors, folders.base, folders.target, rounder("bfloat16", "nearest", 0))


def test_a_number_beyond_float16_is_refused(folders: Folders) -> None:
    tensors = moved(folders.base)
    tensors[0].tensor[0] = 70_000
    with pytest.raises(InputError, match=r"beyond float16 .* set merger.dtype to bfloat16"):
        export(
            tensors, folders.base, folders.target, rounder("float16", "nearest", 0),
            dtype="float16",
        )  # fmt: skip


def test_float16_of_qwen2_is_refused() -> None:
    refuse_float16("llama", "float16")
    refuse_float16("qwen2", "bfloat16")
    for family in ("qwen2", "qwen2_moe", "qwen2_5_vl"):
        with pytest.raises(InputError, match="overflow in it - set bfloat16"):
            refuse_float16(family, "float16")


def test_the_seed_decides_the_bits_whatever_the_order(folders: Folders) -> None:
    def bits(seed: int, tensors: list[Merged]) -> dict[str, torch.Tensor]:
        one = rounder("bfloat16", "stochastic", seed)
        return {item.name: one(item) for item in tensors}

    tensors = moved(folders.base)
    first, again = bits(1, tensors), bits(1, tensors[::-1])
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = bits(2, tensors)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_stochastic_rounding_keeps_what_vanishes(folders: Folders) -> None:
    """A growth of all weights by a thousandth: rounded to the nearest, there is none."""
    base = load_file(folders.base / "model.safetensors")
    tensors = [Merged(name, tensor.float() * 1.001) for name, tensor in base.items()]

    def growth(rounding: Any) -> float:
        export(tensors, folders.base, folders.target, rounder("bfloat16", rounding, 0))
        kept = load_file(folders.target / "model.safetensors")
        old, new = (
            torch.cat([model[name].double().flatten() for name in base]) for model in (base, kept)
        )
        return float((new - old) @ old / (old @ old))

    assert growth("nearest") == 0
    assert growth("stochastic") == pytest.approx(1e-3, rel=0.1)
