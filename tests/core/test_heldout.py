"""Held-out folders: what is read and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText, heldout_files, read_heldout


def test_read_in_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("  zwei µg \n", encoding="utf-8")
    (tmp_path / "a.txt").write_text("eins", encoding="utf-8")
    (tmp_path / "notes.md").write_text("no")
    (tmp_path / "folder.txt").mkdir()
    assert read_heldout(tmp_path) == [HeldoutText("a", "eins"), HeldoutText("b", "zwei µg")]
    assert list(heldout_files(tmp_path)) == ["a.txt", "b.txt"]


@pytest.mark.parametrize(
    ("content", "words"), [(b"M\xfcller", "not UTF-8"), (b" \n\t", "empty"), (b"", "empty")]
)
def test_bad_file_is_named_without_its_text(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x.txt").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_heldout(tmp_path)
    assert str(tmp_path / "x.txt") in str(error.value)
    assert words in str(error.value)
    assert error.value.exit_code == 3


def test_no_texts(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, words in (("", r"no \.txt files"), ("none", "does not exist"), ("file", "is a file")):
        with pytest.raises(InputError, match=words):
            read_heldout(tmp_path / name)
