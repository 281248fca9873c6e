"""Files written tensor by tensor, byte for byte those of safetensors' own library."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from bedside_core.errors import InputError
from bedside_merger.shards import open_shards
from bedside_models.scores import Dtype

names = st.text("abcxyz._0123456789äß", min_size=1, max_size=12)
shapes = st.dictionaries(
    names, st.lists(st.integers(0, 5), max_size=3).map(tuple), min_size=1, max_size=6
)


def tensors(sizes: dict[str, tuple[int, ...]], dtype: Dtype) -> dict[str, torch.Tensor]:
    return {n: torch.randn(shape).to(getattr(torch, dtype)) for n, shape in sizes.items()}


@settings(deadline=None, max_examples=40)
@given(shapes, st.sampled_from(["float32", "bfloat16", "float16"]), st.randoms())
def test_bytes_of_the_library(tmp_path_factory, sizes, dtype, order):
    folder = tmp_path_factory.mktemp("shards")
    values = tensors(sizes, dtype)
    save_file(values, folder / "theirs", metadata={"format": "pt"})
    shuffled = list(values.items())
    order.shuffle(shuffled)
    with open_shards(folder, sizes, dtype) as writer:
        for name, tensor in shuffled:
            writer.write(name, tensor)
    assert (folder / "model.safetensors").read_bytes() == (folder / "theirs").read_bytes()


def test_a_tensor_larger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    sizes = {"a": (4,), "b": (100,), "c": (4,), "d": (4,)}
    values = tensors(sizes, "float32")
    with open_shards(tmp_path, sizes, "float32", max_bytes=40) as writer:
        for name, tensor in values.items():
            writer.write(name, tensor)
    files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert files == [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    found = {k: t for path in tmp_path.glob("*.safetensors") for k, t in load_file(path).items()}
    assert all(torch.equal(found[name], tensor) for name, tensor in values.items())


@pytest.mark.parametrize("wrong", ["other", "shape", "twice", "missing"])
def test_what_does_not_fit_is_refused(tmp_path: Path, wrong: str) -> None:
    with (
        pytest.raises(InputError, match="not have the same tensors"),
        open_shards(tmp_path, {"a": (2,), "b": (2,)}, "float32") as writer,
    ):
        writer.write("a", torch.zeros(2))
        if wrong == "missing":
            return
        name = {"other": "c", "shape": "b", "twice": "a"}[wrong]
        writer.write(name, torch.zeros(3 if wrong == "shape" else 2))


def test_a_strided_tensor_is_written_in_order(tmp_path: Path) -> None:
    tensor = torch.arange(6.0).reshape(2, 3).T
    with open_shards(tmp_path, {"a": (3, 2)}, "float32") as writer:
        writer.write("a", tensor)
    assert torch.equal(load_file(tmp_path / "model.safetensors")["a"], tensor)
