"""Which files of a snapshot are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedside_core.errors import InputError
from bedside_eval.importing.layouts import LAYOUTS
from bedside_eval.importing.selection import chosen

SAMPLES = Path(__file__).parent / "samples"


def names(layout: str, path: Path, split: str, language: str = "en") -> list[str]:
    return [file.name for file in chosen(path, LAYOUTS[layout], split=split, language=language)]


def test_by_split_and_language() -> None:
    assert names("mmlu", SAMPLES / "mmlu", "dev") == ["anatomy_dev.csv"]
    assert names("mmmlu", SAMPLES / "mmmlu", "test", "fr-CH") == ["mmlu_FR-FR.csv"]
    assert names("hellaswag", SAMPLES / "hellaswag", "dev") == ["val.jsonl"]
    # The list of the test split is no file of questions.
    assert names("pubmedqa", SAMPLES / "pubmedqa", "test") == ["ori_pqal.json"]
    assert names("medqa", SAMPLES / "medqa", "", "de") == ["test.jsonl"]


@pytest.mark.parametrize(
    ("layout", "split", "language", "says"),
    [
        ("mmlu", "train", "en", "no file of split 'train' - it has dev, test"),
        ("mmlu", "exam", "en", "no split 'exam'"),
        ("mmmlu", "test", "it", "no file of language it - it has de, fr"),
        ("mednli", "test", "en", "no .*json.* file"),
    ],
)
def test_what_is_not_there_is_said(
    layout: str, split: str, language: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path if layout == "mednli" else SAMPLES / layout
    with pytest.raises(InputError, match=says):
        names(layout, path, split, language)
