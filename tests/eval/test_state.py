"""Only what this evaluation itself kept, for exactly this, is taken back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.artifacts import Recipe
from bedside_core.signing import Keys
from bedside_eval.state import State

RECIPE = Recipe(
    verb="eval run",
    version="1",
    config={"max_length": 64},
    parents={"base": "b" * 64},
    inputs={},
    environment={"torch": "2.13.0", "device": "cpu x86_64"},
)
MODEL, PART, DTYPE = "a" * 64, "heldout/letters", "float32"
CONTENT = b'{"texts":[]}'


def keys(folder: Path) -> Keys:
    made = Keys(folder, stem="evidence", domain=b"bedside evidence v1\n")
    made.make()
    return made


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return keys(tmp_path_factory.mktemp("house"))


def test_what_was_kept_is_taken_and_nobody_else_can_read_it(house: Keys, tmp_path: Path) -> None:
    State(tmp_path, house, RECIPE).save(MODEL, PART, DTYPE, CONTENT)
    assert State(tmp_path, house, RECIPE).load(MODEL, PART, DTYPE) == CONTENT
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_what_was_not_kept_is_measured_without_a_word(
    house: Keys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert State(tmp_path, house, RECIPE).load(MODEL, PART, DTYPE) is None
    assert capsys.readouterr().out == ""


def another(**changes: Any) -> Recipe:
    return RECIPE.model_copy(update=changes)


@pytest.mark.parametrize(
    ("recipe", "model", "part", "dtype"),
    [
        (another(config={"max_length": 128}), MODEL, PART, DTYPE),
        (another(environment={"torch": "2.14.0", "device": "cpu x86_64"}), MODEL, PART, DTYPE),
        (another(environment={"torch": "2.13.0", "device": "NVIDIA H200"}), MODEL, PART, DTYPE),
        (RECIPE, "c" * 64, PART, DTYPE),
        (RECIPE, MODEL, "exam/letters", DTYPE),
        (RECIPE, MODEL, PART, "bfloat16"),
    ],
)
def test_a_file_of_something_else_is_refused(
    house: Keys,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    recipe: Recipe,
    model: str,
    part: str,
    dtype: str,
) -> None:
    State(tmp_path, house, recipe).save(model, part, dtype, CONTENT)
    (kept,) = tmp_path.iterdir()
    kept.rename(tmp_path / f"{MODEL[:16]}.heldout.letters")
    assert State(tmp_path, house, RECIPE).load(MODEL, PART, DTYPE) is None
    assert "not written by this evaluation for this recipe, model" in capsys.readouterr().out


def test_a_file_of_another_house_is_refused(house: Keys, tmp_path: Path) -> None:
    State(tmp_path / "work", keys(tmp_path / "theirs"), RECIPE).save(MODEL, PART, DTYPE, CONTENT)
    assert State(tmp_path / "work", house, RECIPE).load(MODEL, PART, DTYPE) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(planted=st.one_of(st.binary(), st.binary().map(lambda x: b"0" * 64 + b"\n" + x)))
def test_no_planted_file_is_taken(house: Keys, tmp_path: Path, planted: bytes) -> None:
    work = tmp_path / "planted"
    work.mkdir(exist_ok=True)
    (work / f"{MODEL[:16]}.heldout.letters").write_bytes(planted)
    assert State(work, house, RECIPE).load(MODEL, PART, DTYPE) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_changed_byte_is_taken(house: Keys, tmp_path: Path, data: st.DataObject) -> None:
    work = tmp_path / "changed"
    state = State(work, house, RECIPE)
    state.save(MODEL, PART, DTYPE, CONTENT)
    (kept,) = work.iterdir()
    raw = bytearray(kept.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    kept.write_bytes(raw)
    assert state.load(MODEL, PART, DTYPE) is None
    shutil.rmtree(work)
