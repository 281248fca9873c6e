"""`bedside corpus why` explains a record that is in, and one that is out for each reason."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedside_core.artifacts import Recipe
from bedside_core.cli import main
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_corpus import decisions
from bedside_corpus.lookup import Lookup

LETTER = "Der Patient erhält Ramipril 5 mg bei Hypertonie; siehe https://example.org/leitlinie"
REPORT = "Die Koloskopie zeigt eine Kolitis; Therapie mit Budesonid, Biopsie aus dem Dünndarm."
GARDEN = "Der Garten liegt hinter dem Haus und ist im Mai am schönsten."


@pytest.fixture
def house(
    build: Any, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """A corpus of dirty letters and a folder of files; returns what `why` says of a name."""
    monkeypatch.setattr(decisions, "GROUP_ROWS", 4)
    lines = [
        {"id": "a1", "text": LETTER},
        {"id": "a2", "text": LETTER + "\u200b"},
        {"id": "g", "text": GARDEN},
        {"text": REPORT, "licence": "CC-BY-SA-4.0"},
        *({"id": f"n{n}", "text": GARDEN + str(n)} for n in range(20)),
    ]
    raw = "\n".join([*map(json.dumps, lines), "{"])
    (tmp_path / "2024.jsonl.gz").write_bytes(gzip.compress(raw.encode()))
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "ward 3.txt").write_text("Kreatinin 1,2 mg/dl, EKG unauffällig, Dialyse geplant.")
    (folder / "scan.txt").write_bytes(b"\xff\xfe\x00")
    sources = [
        {
            "name": "letters",
            "path": str(tmp_path / "2024.jsonl.gz"),
            "format": "jsonl",
            "licence": "CC-BY-4.0",
            "attribution": "Ward 3",
            "personal_data": "none",
        },
        {
            "name": "notes",
            "path": str(folder),
            "format": "text",
            "licence": "CC0-1.0",
            "personal_data": "none",
        },
    ]
    assert build(*sources, medical_filter={"min_density": 0.03}) == 0
    return lambda *words: [" ".join(line.split()) for line in told(*words)]


def told(*words: str) -> list[str]:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["corpus", "why", *words]) == 0
    for text in (LETTER, REPORT, GARDEN):
        assert text[:20] not in out.getvalue()
    return out.getvalue().splitlines()


def test_one_that_is_in(house: Any, registry: Registry) -> None:
    digest = registry.slot("test", "corpus")
    assert digest is not None
    said = house("letters/2024.jsonl.gz#a1")
    assert said[0] == f"letters/2024.jsonl.gz#a1: in corpus {digest[:12]}"
    for line in (
        "place letters/2024.jsonl.gz:1",
        "source letters",
        "licence CC-BY-4.0: attribution",
        "attribution Ward 3",
        "1 reading passed",
        "2 cleaning changed url 1",
        "file data/00000.parquet, row 0",
        "nothing was made from this corpus yet",
    ):
        assert line in said
    assert [line for line in said if line.startswith(("sha256 ", "medical_density 0."))]


def test_by_place_it_is_the_same(house: Any) -> None:
    assert house("letters/2024.jsonl.gz:1", "test") == house("letters/2024.jsonl.gz#a1")
    said = house("letters/2024.jsonl.gz:4")
    assert "licence CC-BY-SA-4.0: attribution, share-alike" in said


def test_a_file_that_is_a_document_is_found_without_its_suffix(house: Any) -> None:
    said = house("notes/ward 3")
    assert said[0].startswith("notes/ward 3: in corpus ")
    assert said == house("notes/ward 3.txt")


@pytest.mark.parametrize(
    ("name", "reason", "lines"),
    [
        ("letters/2024.jsonl.gz#a2", "duplicate_text", ["2 cleaning changed invisible 1, url 1"]),
        (
            "letters/2024.jsonl.gz#g",
            "not_medical",
            ["4 medical_filter out: not_medical", "share of medical words, or the score 0"],
        ),
        (
            "letters/2024.jsonl.gz:25",
            "malformed",
            ["1 reading out: malformed", "licence CC-BY-4.0 (its source's): attribution"],
        ),
    ],
)
def test_one_that_is_out(house: Any, name: str, reason: str, lines: list[str]) -> None:
    said = house(name)
    assert said[0].endswith(f"({reason})") and ": not in corpus" in said[0]
    assert set(lines) <= set(said)
    assert any(line.startswith("why the record ") for line in said)
    assert any(line.startswith("what to do ") for line in said)


def test_the_beginning_of_several_lists_them(house: Any) -> None:
    said = house("letters/2024.jsonl.gz#a")
    assert said[0].endswith("is the beginning of 2 records - name one:")
    assert sorted(said[1:]) == [
        "letters/2024.jsonl.gz#a1 in",
        "letters/2024.jsonl.gz#a2 duplicate_text",
    ]
    assert "the first 10 of more" in house("letters/2024")[0]
    assert house("notes/ward")[0].startswith("notes/ward 3: in corpus ")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("letters/2024.jsonl.gz#n99", "letters/2024.jsonl.gz#n9"),
        ("letters/2024.jsonl.gz:26", "letters/2024.jsonl.gz:1 to letters/2024.jsonl.gz:25"),
        ("letters/2023.jsonl.gz:1", "letters/2024.jsonl.gz"),
        ("0123456789abcdef", "notes/ward 3.txt"),
    ],
)
def test_an_unknown_one_is_said_with_near_ones(
    house: Any, name: str, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["corpus", "why", name]) == 3
    said = capsys.readouterr().err
    assert "was made from no record" in said and f"  {near}\n" in said


def test_only_the_groups_that_may_have_it_are_read(
    house: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup = Lookup(registry.get("test/corpus"))
    groups = list(lookup._groups("letters/2024.jsonl.gz", 23))
    assert len(list(lookup._groups(""))) > 6
    assert len(groups) == 1
    found = lookup.find("letters/2024.jsonl.gz:23")
    assert found is not None and found.id == "letters/2024.jsonl.gz#n18"


def test_which_corpus_is_asked(
    house: Any, registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "notes/ward 3"
    config = str(tmp_path / "run.yaml")
    assert house(name, "--config", config) == house(name, "test") == house(name)
    assert main(["corpus", "why", name, "test", "--config", config]) == 3
    run = Run("other", "corpus", "build", registry)
    recipe = Recipe(
        verb="corpus build", version="0", config={}, parents={}, inputs={}, environment={}
    )
    with run.write("corpus", recipe):
        pass
    capsys.readouterr()
    assert main(["corpus", "why", name]) == 3
    assert "name one of the runs other, test" in capsys.readouterr().err
    assert main(["corpus", "why", name, "other"]) == 3
    assert "holds no decisions" in capsys.readouterr().err
    assert main(["corpus", "why", name, "nothing"]) != 0


def test_what_was_made_from_it_is_named(house: Any, registry: Registry) -> None:
    corpus = registry.get("test/corpus")
    run = Run("test", "trainer", "run", registry)
    recipe = Recipe(
        verb="trainer run",
        version="0",
        config={},
        parents={"corpus": corpus.digest},
        inputs={},
        environment={},
    )
    with run.write("checkpoint", recipe):
        pass
    said = house("notes/ward 3")
    digest = registry.get("test/checkpoint").digest
    assert f"checkpoint {digest[:12]} (test/checkpoint)" in said
    assert said[-1].endswith("`bedside trainer seen 'notes/ward 3' --config FILE`")


def test_a_changed_decision_is_not_believed(house: Any, registry: Registry) -> None:
    path = registry.get("test/corpus").path / "decisions/00000.parquet"
    path.chmod(0o644)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"not_medical", b"not_related"))
    assert main(["corpus", "why", "letters/2024.jsonl.gz#g"]) != 0


def test_a_changed_file_of_documents_is_not_believed(house: Any, registry: Registry) -> None:
    path = registry.get("test/corpus").path / "data/00000.parquet"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"CC-BY-4.0", b"CC-BY-3.0"))
    assert main(["corpus", "why", "notes/ward 3"]) != 0
