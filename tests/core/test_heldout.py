"""Held-out folders: what is read and what is refused."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core import heldout
from bedside_core.errors import InputError
from bedside_core.heldout import (
    HeldoutText,
    clusters_csv,
    heldout_files,
    measured_files,
    read_heldout,
)


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


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "caf\udce9.txt").write_text("Kaffee")
    with pytest.raises(InputError, match=r"a file name is not UTF-8 \('caf\\udce9\.txt'\)"):
        heldout_files(tmp_path)


# --- clusters ----------------------------------------------------------------------------------


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    for name in ("a", "b", "c, d"):
        (tmp_path / f"{name}.txt").write_text(f"Text von {name}", encoding="utf-8")
    return tmp_path


def test_each_text_is_its_own_cluster_without_a_file_that_says_more(ward: Path) -> None:
    assert [text.cluster for text in read_heldout(ward)] == ["a", "b", "c, d"]
    assert list(measured_files(ward)) == ["a.txt", "b.txt", "c, d.txt"]


@pytest.mark.parametrize(
    "content",
    [
        b'text,cluster\nb,patient 1\n"c, d",patient 2\na,patient 1\n',
        b'\xef\xbb\xbftext,cluster\r\na, patient 1 \r\n\r\n"c, d",patient 2\r\nb,patient 1',
    ],
)
def test_texts_of_a_patient_are_one_cluster(ward: Path, content: bytes) -> None:
    (ward / "clusters.csv").write_bytes(content)
    assert [text.cluster for text in read_heldout(ward)] == ["patient 1", "patient 1", "patient 2"]
    assert list(heldout_files(ward)) == ["a.txt", "b.txt", "c, d.txt"]
    assert "clusters.csv" in measured_files(ward)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "line 1: must be `text,cluster`"),
        (["text;cluster", "a;1"], "line 1: must be `text,cluster`"),
        (["a,1", "b,2"], "line 1: must be `text,cluster`"),
        (["text,cluster", "a,1", "b,2"], "text 'c, d': not named"),
        (["text,cluster", "a,1"], "text 'b', 'c, d': not named"),
        (["text,cluster", "a,1", "b,2", '"c, d",3', "e,4"], "text 'e': named, but no .txt file"),
        (["text,cluster", "a.txt,1", "b,2", '"c, d",3'], "text 'a': not named"),
        (["text,cluster", "a,1", "b,2", "a,3"], "line 4: text 'a' again, as in line 2"),
        (["text,cluster", "a,1", "b,"], "line 3: text 'b' has no cluster"),
        (["text,cluster", "a,nan"], "line 2: text 'a' has no cluster"),
        (["text,cluster", "a,NULL"], "line 2: text 'a' has no cluster"),
        (["text,cluster", "a,N/A"], "line 2: text 'a' has no cluster"),
        (["text,cluster", "a"], "line 2: 1 values"),
        (["text,cluster", "c, d,3"], "line 2: 3 values"),
        (["text,cluster", 'a,"1'], "no valid CSV"),
    ],
)
def test_a_wrong_list_of_clusters(ward: Path, lines: list[str], words: str) -> None:
    (ward / "clusters.csv").write_text("\n".join(lines))
    with pytest.raises(InputError) as error:
        read_heldout(ward)
    assert str(ward / "clusters.csv") in str(error.value)
    assert words in str(error.value)
    assert "Text von" not in str(error.value)


def test_a_long_list_of_names_is_cut(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.txt").write_text("Text")
    (tmp_path / "clusters.csv").write_text("text,cluster\n")
    with pytest.raises(InputError, match="'4' and 4 more: not named"):
        read_heldout(tmp_path)


names = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0\r", exclude_categories=["Cs"]), min_size=1
).map(str.strip)


@given(st.dictionaries(names.filter(bool), names.map(lambda name: f"patient {name}".strip())))
def test_what_is_written_is_read_again(clusters: dict[str, str]) -> None:
    texts = [HeldoutText(name, "Text", cluster) for name, cluster in clusters.items()]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clusters.csv"
        path.write_text(clusters_csv(texts), encoding="utf-8", newline="")
        assert heldout._read_clusters(path, set(clusters)) == clusters


def test_what_a_text_is_known_by() -> None:
    text = HeldoutText("a", "Fieber, 39 °C")
    again = HeldoutText("b", "FIEBER 39\n° c", cluster="patient 1")
    assert (text.identity, text.wordings) == (again.identity, ["Fieber, 39 °C"])
    assert text.content != again.content
    assert text.of_cluster("patient 1").cluster == "patient 1"
