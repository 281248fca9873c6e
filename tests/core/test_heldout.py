"""Held-out folders: what is read and what is refused."""

from __future__ import annotations

import json
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
    heldout_line,
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


# --- one file for all texts ------------------------------------------------------------------


def lines(path: Path, *texts: object) -> Path:
    content = [text if isinstance(text, str) else json.dumps(text) for text in texts]
    path.write_text("\n".join(content), encoding="utf-8")
    return path


def test_a_set_may_be_one_file_with_a_line_for_each_text(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "set.jsonl",
        '\ufeff{"id": "b", "text": " zwei\u2028µg ", "cluster": "patient 1", "language": "de"}\r',
        "",
        {"id": "a", "text": "eins", "cluster": "patient 1", "patient": "f" * 64, "source": "x"},
    )
    texts = read_heldout(path)
    assert texts == [
        HeldoutText("b", "zwei\u2028µg", "patient 1"),
        HeldoutText("a", "eins", "patient 1", "f" * 64),
    ]
    assert heldout_files(path) == measured_files(path) == {"set.jsonl": path}
    alone = lines(tmp_path / "alone.jsonl", {"id": "a", "text": "eins"})
    assert read_heldout(alone) == [HeldoutText("a", "eins", "a")]
    path.write_bytes(b"".join(heldout_line(text) for text in texts))
    assert read_heldout(path) == texts


A = {"id": "a", "text": "Herr Beispielmann"}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([A, {**A, "text": "x"}], "line 2: id 'a' again, as in line 1"),
        ([A, {**A, "id": "b", "cluster": "p"}], "line 2: some texts have a cluster"),
        ([{**A, "cluster": "n/a"}], "line 1: text 'a' has no cluster"),
        ([{**A, "text": " \t"}], "line 1: empty"),
        ([{**A, "patient_no": 7}], "(unknown field)"),
        ([{**A, "id": 7}], "(id)"),
        ([{**A, "id": "../a"}], "(id)"),
        ([{**A, "id": "ä" * 61}], "(id)"),
        ([{"id": "a"}], "(text)"),
        ([{**A, "text": "Beispielmann \ud800"}], "line 1: is not a text"),
        (['{"id": "a", "text": "Herr Beispielmann'], "line 1: is not a text"),
        (["[" * 99999], "line 1: is not a text"),
        (["17"], "line 1: is not a text"),
        ([], "no texts"),
    ],
)
def test_a_line_that_is_no_text_is_named_without_it(
    tmp_path: Path, rows: list[object], words: str
) -> None:
    path = lines(tmp_path / "set.jsonl", *rows)
    with pytest.raises(InputError) as error:
        read_heldout(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)
    assert "Beispielmann" not in str(error.value)


def test_a_file_that_is_not_utf8_is_no_set(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_bytes(b'{"id": "a", "text": "M\xfcller"}')
    with pytest.raises(InputError, match="not UTF-8"):
        read_heldout(tmp_path / "set.jsonl")
    with pytest.raises(InputError, match="does not exist"):
        heldout_files(tmp_path / "none.jsonl")
