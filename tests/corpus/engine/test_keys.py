"""The first of equal keys is kept, whatever the shards and the ranges."""

from __future__ import annotations

from hashlib import sha256
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside_corpus.engine import keys
from bedside_corpus.engine.keys import Later, ranges, write_group, write_keys, write_later

numbers = count()


def keys_of(texts: list[str]) -> NDArray[np.void]:
    digests = [sha256(text.encode()).digest()[:16] for text in texts]
    return np.frombuffer(b"".join(digests), keys.KEY)


def grouped(folder: Path, files: list[Path], size: int) -> list[Path]:
    groups = [folder / f"group-{start}.npy" for start in range(0, len(files), size)]
    for number, group in enumerate(groups):
        here = range(number * size, min(len(files), (number + 1) * size))
        write_group(group, {shard: files[shard] for shard in here}, keys.KEY)
    return groups


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.lists(st.sampled_from("abcdefg"), max_size=6), min_size=1, max_size=6),
    of=st.integers(1, 4),
    size=st.integers(1, 3),
)
def test_all_but_the_first_of_equal_keys_are_later(
    tmp_path: Path, texts: list[list[str]], of: int, size: int
) -> None:
    folder = tmp_path / str(next(numbers))
    files = [folder / f"{shard}.npy" for shard in range(len(texts))]
    for file, shard in zip(files, texts, strict=True):
        write_keys(file, keys_of(shard))
    parts = [folder / f"later-{number}.npy" for number in range(of)]
    groups = grouped(folder, files, size)
    for number, part in enumerate(parts):
        write_later(part, groups, number, of)
    seen: dict[str, tuple[int, int]] = {}
    later = Later(parts)
    for shard, here in enumerate(texts):
        expected = []
        for row, text in enumerate(here):
            if text in seen:
                expected.append((shard, row, *seen[text]))
            seen.setdefault(text, (shard, row))
        assert later.of(shard).tolist() == expected


def test_the_last_key_is_in_a_range_and_keys_that_share_their_first_half_are_two(
    tmp_path: Path,
) -> None:
    found = [b"\xff" * 16, b"\xff" * 15 + b"\x00", b"\x00" * 16, b"\xff" * 16]
    write_keys(tmp_path / "a.npy", np.frombuffer(b"".join(found), keys.KEY))
    groups = grouped(tmp_path, [tmp_path / "a.npy"], 1)
    for number in range(3):
        write_later(tmp_path / f"{number}.npy", groups, number, 3)
    later = Later([tmp_path / f"{number}.npy" for number in range(3)])
    assert later.of(0).tolist() == [(0, 3, 0, 0)]


def test_the_files_of_the_ranges_are_opened_once_for_many_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / f"{shard}.npy" for shard in range(70)]
    for file in files:
        write_keys(file, keys_of(["a", "b"]))
    parts = [tmp_path / f"later-{number}.npy" for number in range(3)]
    groups = grouped(tmp_path, files, 16)
    for number, part in enumerate(parts):
        write_later(part, groups, number, 3)
    opened = []
    load = np.load
    monkeypatch.setattr(np, "load", lambda path, **how: opened.append(path) or load(path, **how))
    later = Later(parts)
    rows = [later.of(shard).tolist() for shard in range(70)]
    assert rows == [[], *([(n, 0, 0, 0), (n, 1, 0, 1)] for n in range(1, 70))]
    assert len(opened) == 2 * len(parts)


def test_ranges_grow_with_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "RANGE_KEYS", 10)
    assert [ranges(number) for number in (0, 1, 10, 11, 100)] == [1, 1, 1, 2, 10]
