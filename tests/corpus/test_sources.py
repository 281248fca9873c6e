import os

import pytest

from bedside_core.errors import ConfigError, InputError
from bedside_corpus.config import Source
from bedside_corpus.sources import find_files, input_files


def source(path, kind="text"):
    return Source(name="s", path=path, format=kind, licence="CC0-1.0", personal_data="none")


def test_finds_files_of_the_format_in_subfolders_in_order(tmp_path, capsys):
    for name in ("b.jsonl", "a/c.jsonl.gz", ".hidden.jsonl", ".git/x.jsonl", "readme.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    files = find_files(source(tmp_path, "jsonl"))
    assert [file.label for file in files] == ["s/a/c.jsonl.gz", "s/b.jsonl"]
    assert "source s: passed over: 1 .md" in capsys.readouterr().out


def test_one_file_is_a_source(tmp_path):
    (tmp_path / "a.parquet").write_text("x")
    assert [f.name for f in find_files(source(tmp_path / "a.parquet", "parquet"))] == ["a.parquet"]


def test_a_missing_path_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist"):
        find_files(source(tmp_path / "nowhere"))


def test_a_folder_without_files_of_the_format_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"no \.txt files"):
        find_files(source(tmp_path))


def test_a_file_of_another_format_is_a_config_error(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(ConfigError, match=r"a\.csv is not a \.jsonl or "):
        find_files(source(tmp_path / "a.csv", "jsonl"))


def test_a_file_name_that_is_not_utf8_is_an_input_error(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.txt")).write_text("x")
    with pytest.raises(InputError, match="not UTF-8"):
        find_files(source(tmp_path))


def test_inputs_name_every_source_and_heldout_file(tmp_path):
    for name in ("docs/a.txt", "held/h.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    held = tmp_path / "held"
    inputs = input_files(find_files(source(tmp_path / "docs")), [held])
    assert inputs == {
        "source/s/a.txt": tmp_path / "docs/a.txt",
        f"heldout/{held}/h.txt": held / "h.txt",
    }
