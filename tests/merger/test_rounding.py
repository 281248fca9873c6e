"""The rounding report against an independent count, element by element."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_merger.rounding import Rounding, RoundingTally, group_of

finite = st.floats(-4, 4, width=32)


def tally(base: torch.Tensor, merged: torch.Tensor) -> RoundingTally:
    result = RoundingTally()
    result.add(base, merged, merged.to(torch.bfloat16))
    return result


def bfloat16(values: np.ndarray) -> list[float]:
    """Round to nearest, ties to even, on the bits of a float32: without torch."""
    bits = values.view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return [float(v) for v in bits.astype(np.uint32).view(np.float32)]


@settings(deadline=None)
@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=40))
def test_against_plain_python(pairs: list[tuple[float, float]]) -> None:
    base = torch.tensor([b for b, _ in pairs]).to(torch.bfloat16)
    merged = torch.tensor([m for _, m in pairs], dtype=torch.float32)
    report = tally(base, merged).report()
    rows = list(zip(base.tolist(), merged.tolist(), bfloat16(merged.numpy()), strict=True))
    update = math.fsum((m - b) ** 2 for b, m, _ in rows)
    norm = math.fsum(b**2 for b, _, _ in rows)
    changed = [(b, r) for b, m, r in rows if m != b]
    if norm:
        assert report["relative_update"] == pytest.approx(math.sqrt(update / norm), rel=1e-9)
    if update:
        lost = math.fsum((r - m) ** 2 for _, m, r in rows)
        assert report["lost_energy_share"] == pytest.approx(lost / update, rel=1e-9, abs=1e-12)
    if changed:
        vanished = sum(b == r for b, r in changed) / len(changed)
        assert report["vanished_share"] == pytest.approx(vanished)
    assert report["changed_share"] == pytest.approx(len(changed) / len(rows))


def test_no_update_has_no_shares() -> None:
    ones = torch.ones(4)
    assert tally(ones, ones).report() == {
        "num_parameters": 4, "relative_update": 0.0, "lost_energy_share": None,
        "changed_share": 0.0, "vanished_share": None,
    }  # fmt: skip


def test_small_update_vanishes_and_large_one_stays() -> None:
    base = torch.ones(2)
    report = tally(base, torch.tensor([1.001, 1.5])).report()
    assert report["vanished_share"] == 0.5
    assert report["lost_energy_share"] == pytest.approx(1e-6 / 0.250001, rel=1e-3)


def test_float32_base_counts_like_its_bfloat16() -> None:
    assert tally(torch.tensor([1.0002]), torch.tensor([1.0004])).report()["vanished_share"] == 1


def test_groups_add_up_and_pieces_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(1)
    names = ("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "model.norm.weight")
    parts = [(n, *torch.randn(2, 5, 7, generator=generator)) for n in names]
    whole, pieces = Rounding(), Rounding()
    for name, base, merged in parts:
        whole.add(name, base, merged, merged.to(torch.bfloat16))
    monkeypatch.setattr("bedside_merger.rounding.CHUNK_ELEMENTS", 4)
    for name, base, merged in parts:
        pieces.add(name, base, merged, merged.to(torch.bfloat16))
    assert set(whole.groups) == {"embed", "mlp", "norm"}
    assert whole.overall.num_parameters == 105
    total = sum(tally.lost_energy for tally in whole.groups.values())
    assert total == pytest.approx(whole.overall.lost_energy)
    assert pieces.overall.lost_energy == pytest.approx(whole.overall.lost_energy)
    assert pieces.overall.num_vanished == whole.overall.num_vanished


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("model.layers.3.self_attn.q_proj.weight", "self_attn"),
        ("model.layers.3.mlp.down_proj.weight", "mlp"),
        ("model.layers.3.post_attention_layernorm.weight", "norm"),
        ("model.embed_tokens.weight", "embed"),
        ("lm_head.weight", "lm_head"),
    ],
)
def test_groups(name: str, group: str) -> None:
    assert group_of(name) == group
