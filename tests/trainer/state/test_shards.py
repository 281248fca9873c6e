"""Tensor files are safetensors, and give back any slice of what any cut put into them."""

from __future__ import annotations

import hashlib
import math
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from bedside_trainer.state.pieces import Piece
from bedside_trainer.state.record import Slice
from bedside_trainer.state.shards import DTYPES, Reader, bytes_of, write_shard


def cuts(size: int, parts: int) -> list[tuple[int, int]]:
    """(start, length) as `torch.chunk` cuts, empty parts included."""
    each = -(-size // parts)
    return [(min(at * each, size), max(0, min(each, size - at * each))) for at in range(parts)]


def pieces_of(name: str, tensor: torch.Tensor, grid: tuple[int, ...]) -> list[Piece]:
    """The tensor cut along each dimension into so many parts."""
    found = []
    for along in product(*(cuts(n, k) for n, k in zip(tensor.shape, grid, strict=True))):
        start, size = tuple(a for a, _ in along), tuple(n for _, n in along)
        local = tensor[tuple(slice(a, a + n) for a, n in along)].clone()
        place = Slice(shape=tuple(tensor.shape), start=start, size=size)
        found.append(Piece(name, place, local, first=True))
    return found


@st.composite
def two_cuts(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    shape = tuple(draw(st.lists(st.integers(1, 7), max_size=3)))
    grids = [tuple(draw(st.integers(1, 4)) for _ in shape) for _ in range(2)]
    return shape, grids[0], grids[1]


@given(two_cuts(), st.sampled_from(list(DTYPES)))
@settings(deadline=None, max_examples=60)
def test_another_cut_reads_the_same_numbers(
    case: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]], dtype: torch.dtype
) -> None:
    shape, written, read = case
    tensor = torch.arange(math.prod(shape)).reshape(shape).to(dtype)
    with TemporaryDirectory() as folder:
        shards = {}
        for number, piece in enumerate(pieces_of("t", tensor, written)):
            if all(piece.slice.size):
                path = Path(folder, f"model-{number:05d}.safetensors")
                shards[path.name] = write_shard(path, [piece])
        with Reader(Path(folder), shards) as reader:
            for piece in pieces_of("t", tensor, read):
                expected = piece.local.clone()
                piece.local.zero_()
                reader.fill([piece])
                assert torch.equal(piece.local, expected)


def test_any_reader_of_safetensors_reads_a_shard(tmp_path: Path) -> None:
    tensors = {str(dtype): torch.ones(3, dtype=dtype) for dtype in DTYPES}
    tensors["scalar"] = torch.tensor(7.0)
    tensors["strided"] = torch.arange(6.0).reshape(2, 3).T
    tensors["large"] = torch.randn(600, 600)
    pieces = [p for name, t in tensors.items() for p in pieces_of(name, t, (1,) * t.dim())]
    path = tmp_path / "model-00000.safetensors"
    shard = write_shard(path, pieces)
    assert shard.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    found = load_file(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert 0 < path.stat().st_size - bytes_of(pieces) < 4096


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    first, second = pieces_of("t", torch.arange(6.0), (2,))
    path = tmp_path / "model-00000.safetensors"
    with Reader(tmp_path, {path.name: write_shard(path, [first])}) as reader:
        with pytest.raises(ValueError, match="3 numbers of t are missing"):
            reader.fill([second])
        whole = Slice(shape=(6,), start=(0,), size=(6,))
        with pytest.raises(ValueError, match="3 numbers of t are missing"):
            reader.read("t", whole)
        with pytest.raises(ValueError, match="1 tensors only in one of both, as u"):
            reader.fill([first, *pieces_of("u", torch.ones(1), (1,))])
        with pytest.raises(ValueError, match=r"has the shape \(6,\), not \(7,\)"):
            reader.read("t", Slice(shape=(7,), start=(0,), size=(7,)))
