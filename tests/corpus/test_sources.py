import os

import pytest

from bedside_core.config import validate
from bedside_core.cpus import available_cpus
from bedside_core.errors import ConfigError, InputError
from bedside_corpus.config import Executor, Source
from bedside_corpus.sources import find_files, input_files


def source(path, kind="text", **settings):
    declared = {"licence": "CC0-1.0", "personal_data": "none", **settings}
    return Source(name="s", path=path, format=kind, **declared)


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
    inputs = input_files(find_files(source(tmp_path / "docs")), [held], [])
    assert inputs == {
        "source/s/a.txt": tmp_path / "docs/a.txt",
        f"heldout/{held}/h.txt": held / "h.txt",
    }


def test_a_pattern_chooses_files_whatever_their_suffix(tmp_path, capsys):
    for name in ("en-fr.fr", "en-fr.en", "dev/a.fr", "dev/plain"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    found = find_files(source(tmp_path, "lines", files="*.fr"))
    assert [file.name for file in found] == ["dev/a.fr", "en-fr.fr"]
    assert "passed over: 1 .en, 1 without a suffix" in capsys.readouterr().out
    assert [f.name for f in find_files(source(tmp_path, files="dev/p*"))] == ["dev/plain"]
    with pytest.raises(InputError, match=r"no \*\.de files in"):
        find_files(source(tmp_path, files="*.de"))


@pytest.fixture
def hub(tmp_path):
    """The hub's cache of a data set: files of a snapshot are links into `blobs`."""
    home = tmp_path / ".cache/huggingface/hub/datasets--HuggingFaceFW--fineweb-2"
    snapshot = home / "snapshots/0f4ad1d"
    for name, data in (("b1", b"x"), ("b2", b"y"), ("b3.incomplete", b"z"), ("b4", b"card")):
        (home / "blobs").mkdir(parents=True, exist_ok=True)
        (home / "blobs" / name).write_bytes(data)
    names = {"data/deu_Latn/train/0.parquet": "b1", "data/deu_Latn/train/1.parquet": "b2",
             "README.md": "b4", "dataset_infos.json": "b4"}  # fmt: skip
    for name, blob in names.items():
        path = snapshot / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.path.relpath(home / "blobs" / blob, path.parent))
    (snapshot / "data/again").symlink_to(snapshot, target_is_directory=True)
    (snapshot / "data/loop").symlink_to("loop")
    (snapshot / "data/.locks").mkdir()
    (snapshot / "data/.locks/0.parquet").write_bytes(b"")
    (snapshot / "data/0.parquet.lock").write_bytes(b"")
    (snapshot / "data/2.parquet.incomplete").write_bytes(b"")
    return snapshot


def test_a_snapshot_in_the_cache_of_the_hub(hub, capsys):
    found = find_files(source(hub, "parquet"))
    assert [file.name for file in found] == [
        "data/deu_Latn/train/0.parquet",
        "data/deu_Latn/train/1.parquet",
    ]
    assert [file.path.read_bytes() for file in found] == [b"x", b"y"]
    passed = "passed over: 1 .incomplete, 1 .json, 1 .lock, 1 .md, 1 without a suffix"
    assert passed in capsys.readouterr().out


def test_a_snapshot_that_was_not_downloaded_is_an_input_error(hub):
    (hub.parents[1] / "blobs/b2").unlink()
    with pytest.raises(InputError, match=r"1\.parquet is a link to a file that is not there - fin"):
        find_files(source(hub, "parquet"))
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1324969\n"
    (hub.parents[1] / "blobs/b2").write_bytes(pointer)
    with pytest.raises(InputError, match=r"1\.parquet is a Git LFS pointer, not the file - fetch"):
        find_files(source(hub, "parquet"))
    with pytest.raises(InputError, match="is a Git LFS pointer"):
        find_files(source(hub / "data/deu_Latn/train/1.parquet", "parquet"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"columns": ["a"]}, "columns is for csv, not jsonl"),
        ({"quotes": False}, "quotes is for csv, not jsonl"),
        ({"join_parts": True}, "join_parts needs fields.document"),
        ({"fields": {"text": []}}, "fields.text"),
    ],
)
def test_settings_that_do_not_fit(settings, words):
    with pytest.raises(ValueError, match=words):
        source("a.jsonl", "jsonl", **settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "slurm"}, "partition is missing - Slurm needs it"),
        ({"kind": "slurm", "partition": "p"}, "time is missing"),
        ({"partition": "p"}, "partition is for slurm, not local - leave it out"),
        ({"kind": "ray", "time": "1:00"}, "time is for slurm, not ray"),
        ({"kind": "local", "cpus_per_task": 2}, "cpus_per_task is for slurm and ray, not local"),
        ({"kind": "slurm", "partition": "p", "time": 43200}, "must be in quotes"),
        ({"kind": "k8s"}, "executor.kind: must be one of 'local', 'slurm' or 'ray'"),
        ({"workers": 0}, "executor.workers: must be at least 1"),
    ],
)
def test_an_executor_takes_the_settings_of_its_kind(settings, said):
    with pytest.raises(ConfigError, match=said):
        validate(Executor, settings, "executor")


def test_workers_are_as_many_as_there_are_cores(tmp_path):
    assert Executor().processes == available_cpus()
    assert Executor(workers=3).processes == 3
    assert Executor(kind="ray", workers=3).processes == 1
