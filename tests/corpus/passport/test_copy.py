"""A copy of the passport has texts only where they are asked for, and only its owner reads it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from lxml import html

from bedside_core.artifacts import Artifact
from bedside_core.cli import main

TEXTS = ("Ramipril", "Koloskopie", "Garten", "Wiesengrund")


def shown(path: Path) -> str:
    return " ".join(html.fromstring(path.read_text(encoding="utf-8")).text_content().split())


def test_without_being_asked_it_shows_no_text(corpus: Artifact, tmp_path: Path) -> None:
    assert main(["corpus", "passport", "test", "--out", str(tmp_path / "out")]) == 0
    page = tmp_path / "out/passport.html"
    assert f"Corpus {corpus.digest[:12]}" in shown(page)
    assert not any(text in page.read_text() for text in TEXTS)
    assert (tmp_path / "out/passport.json").read_bytes() == corpus.file(
        "passport.json"
    ).read_bytes()


def test_examples_of_each_reason_for_the_owner_alone(
    corpus: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "private"
    command = ["corpus", "passport", "--with-examples", "--out", str(out)]
    capsys.readouterr()
    assert main(command) == 0
    said = capsys.readouterr()
    assert "keep it private" in said.out and not any(text in said.out for text in TEXTS)
    page = shown(out / "passport.html")
    for title in ("Kept", "Out: malformed", "Out: heldout", "Out: phi", "Out: duplicate_text"):
        assert title in page
    for text in (*TEXTS, "letters/Wiesengrund.jsonl#Meier-Anna", "no text could be read there"):
        assert text in page
    assert "<b>fett" not in (out / "passport.html").read_text()
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    first = (out / "passport.html").read_bytes()
    assert main(command) == 0
    assert (out / "passport.html").read_bytes() == first


@pytest.mark.parametrize("gone", [True, False])
def test_a_source_that_is_gone_or_changed_is_said(
    corpus: Artifact, tmp_path: Path, gone: bool
) -> None:
    path = tmp_path / "Wiesengrund.jsonl"
    text = path.read_text()
    path.unlink()
    if not gone:
        path.write_text(text.replace("Garten", "Anderer"))
    out = tmp_path / "private"
    assert main(["corpus", "passport", "test", "--with-examples", "--out", str(out)]) == 0
    page = shown(out / "passport.html")
    assert ("its file is not where it was" if gone else "its file was changed since") in page
    assert "Garten" not in page and "Anderer" not in page
    assert "Koloskopie" in page


@pytest.mark.parametrize("folder", ["data", "decisions"])
def test_no_text_of_a_changed_corpus_is_shown(
    corpus: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    name = next(one.path for one in corpus.manifest.files if one.path.startswith(folder))
    path = corpus.path / name
    content, mode = path.read_bytes(), path.stat().st_mode
    path.chmod(0o600)
    path.write_bytes(content[:-1] + b"?")
    try:
        out = tmp_path / "private"
        assert main(["corpus", "passport", "test", "--with-examples", "--out", str(out)]) == 4
        assert f"{name} was changed" in capsys.readouterr().err and not out.exists()
    finally:
        path.write_bytes(content)
        path.chmod(mode)


def test_a_corpus_without_a_passport_is_an_error(
    corpus: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["corpus", "passport", "nothing", "--out", str(tmp_path / "out")]) != 0
    assert main(["corpus", "passport"]) != 0
    assert "--out" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
